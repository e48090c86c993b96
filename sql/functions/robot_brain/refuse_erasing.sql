-- Raise RB419, because the session is being erased. A session of its id can be made when that has ended.
set local role robot_brain_owner;

create or replace function robot_brain.refuse_erasing()
returns void
language plpgsql
as $$
begin
  raise exception using
    errcode = 'RB419',
    message = 'the session is being erased',
    hint = 'Try again when the erasure has ended.';
end
$$;
