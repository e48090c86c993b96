-- Raise RB423, because the session's user_metadata would be larger than 16 KiB.
-- This is no check constraint, because that would cost every later update, and its error writes the row into the
-- server's log.
set local role robot_brain_owner;

create or replace function robot_brain.refuse_metadata()
returns void
language plpgsql
as $$
begin
  raise exception using
    errcode = 'RB423',
    message = 'the user_metadata of the session would be larger than 16 KiB',
    hint = 'Store less in it. In a merge patch, null removes a member.';
end
$$;
