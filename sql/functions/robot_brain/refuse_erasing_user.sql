-- Raise RB429 if the user is being erased. Otherwise no erasure of the user begins before this transaction ends.
-- Take this lock before a row that an erasure may wait for. A row that this transaction made is no such row.
set local role robot_brain_owner;

create or replace function robot_brain.refuse_erasing_user(p_tenant_id text, p_user_id text)
returns void
language plpgsql
as $$
begin
  perform robot_brain.refuse_isolation();
  perform pg_advisory_xact_lock_shared(robot_brain.user_lock(p_tenant_id, p_user_id));
  if exists (
    select from robot_brain.user_erasures e
    where e.tenant_id = p_tenant_id
      and e.user_hash = sha256(convert_to(p_user_id, 'UTF8'))
      and e.user_id is not null
  ) then
    raise exception using
      errcode = 'RB429',
      message = 'the user is being erased',
      hint = 'Try again when the erasure has ended.';
  end if;
end
$$;
