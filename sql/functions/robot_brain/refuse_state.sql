-- Raise RB412 if the session is not in the state that p_if_match names.
--   p_version   the version in the entity tag; null if the session does not exist
set local role robot_brain_owner;

create or replace function robot_brain.refuse_state(p_if_match text, p_last_seq integer, p_version bigint)
returns void
language plpgsql
as $$
begin
  if p_if_match <> p_last_seq::text
    and (p_version is null or p_if_match <> p_last_seq || '.' || to_hex(p_version))
  then
    raise exception using
      errcode = 'RB412',
      message = 'the session is not in the state that If-Match names',
      detail = json_build_object('last_seq', p_last_seq, 'etag', robot_brain.etag(p_last_seq, p_version)),
      hint = 'Read the session before you try again.';
  end if;
end
$$;
