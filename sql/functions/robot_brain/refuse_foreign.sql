-- Raise RB404, because the session is not the end user's. So this user learns that the id is taken, and nothing else.
set local role robot_brain_owner;

create or replace function robot_brain.refuse_foreign()
returns void
language plpgsql
as $$
begin
  raise exception using
    errcode = 'RB404',
    message = 'the end user has no session of this id, and may not create it',
    hint = 'Use another session id.';
end
$$;
