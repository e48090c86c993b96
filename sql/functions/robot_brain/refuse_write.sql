-- Step of write_message, after the session is locked. Raises
--   RB404   if the session is not the end user's
--   RB409   if a retry of this write was faster, or if it cannot be known whether an earlier attempt wrote the turns
--   RB412   if the session is not in the state that p_if_match names
--   RB419   if the session is being erased
--   RB423   if the session's user_metadata would be larger than 16 KiB
--   RB424   if the items of a turn are larger than 256 KiB
--   p_was_erased   the session was erased within the last hour, perhaps with the turns of this write
--   p_version      the version in the entity tag before this write; null if the session is new
set local role robot_brain_owner;

drop function if exists robot_brain.refuse_write;

create or replace function robot_brain.refuse_write(
  p_session record, p_messages jsonb, p_was_erased boolean, p_if_match text, p_version bigint
)
returns void
language plpgsql
as $$
begin
  if p_session.last_seq is null then
    perform robot_brain.refuse_foreign();
  end if;
  -- The original attempt can arrive after its retry, for example from a stalled pooler. The client that sent the
  -- original has already disconnected.
  if p_session.is_late then
    raise exception using
      errcode = 'RB409',
      message = 'a retry of this write was faster, and has written it',
      hint = 'Nothing is lost. Use the answer of the retry.';
  elsif p_session.lost_turns or p_was_erased then
    raise exception using
      errcode = 'RB409',
      message = 'an earlier attempt may have written these turns, and they may be removed or erased since',
      hint = 'Read the session before you try again.';
  elsif p_session.is_erasing then
    perform robot_brain.refuse_erasing();
  end if;

  perform robot_brain.refuse_state(p_if_match, p_session.last_seq, p_version);
  if p_session.metadata_bytes > 16384 then
    perform robot_brain.refuse_metadata();
  end if;
  if p_session.has_items then
    perform robot_brain.refuse_items(t.m -> 'items', t.n::integer - 1)
    from jsonb_array_elements(p_messages) with ordinality t (m, n);
  end if;
end
$$;
