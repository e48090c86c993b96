-- Raise RB412 if the user is not in the state that p_if_match names.
--   p_version   the version in the entity tag; null if the user does not exist
set local role robot_brain_owner;

create or replace function robot_brain.refuse_user_state(p_if_match text, p_version bigint)
returns void
language plpgsql
as $$
begin
  if p_version is null or p_if_match <> to_hex(p_version) then
    raise exception using
      errcode = 'RB412',
      message = 'the user is not in the state that If-Match names',
      detail = json_strip_nulls(json_build_object('etag', robot_brain.user_etag(p_version))),
      hint = 'Read the user before you try again.';
  end if;
end
$$;
