-- Step of write_message, after the session is locked. Raises
--   RB409   if a retry of this write was faster
--   RB412   if the session is not in the state that p_if_match names
--   RB423   if the session's user_metadata would be larger than 16 KiB
--   p_version   the version in the entity tag before this write; null if the session is new
set local role robot_brain_owner;

create or replace function robot_brain.refuse_write(
  p_is_late boolean, p_if_match text, p_last_seq integer, p_version bigint, p_metadata_bytes integer
)
returns void
language plpgsql
as $$
begin
  -- The original attempt can arrive after its retry, for example from a stalled pooler. The client that sent the
  -- original has already disconnected.
  if p_is_late then
    raise exception using
      errcode = 'RB409',
      message = 'a retry of this write was faster, and has written it',
      hint = 'Nothing is lost. Use the answer of the retry.';
  end if;

  if p_if_match <> p_last_seq::text
    and (p_version is null or p_if_match <> p_last_seq || '.' || to_hex(p_version))
  then
    raise exception using
      errcode = 'RB412',
      message = 'the session is not in the state that If-Match names',
      detail = json_build_object('last_seq', p_last_seq, 'etag', robot_brain.etag(p_last_seq, p_version)),
      hint = 'Read the session before you try again.';
  end if;

  -- This is no check constraint, because that would cost every later update, and its error writes the row into the
  -- server's log.
  if p_metadata_bytes > 16384 then
    raise exception using
      errcode = 'RB423',
      message = 'the user_metadata of the session would be larger than 16 KiB',
      hint = 'Store less in it. Keys are merged and never removed.';
  end if;
end
$$;
