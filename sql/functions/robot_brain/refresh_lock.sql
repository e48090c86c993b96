-- Take the lock under which the sums are changed, by one transaction at a time. The lock ends with the transaction.
-- Returns true if it was taken. With p_wait it waits, at most lock_timeout. Otherwise it returns false if it is taken.
-- It is a lock on a table that no login may lock. A login may take any advisory lock, also for longer than a transaction.
-- The mode is the weakest one that conflicts with itself. So the row of the table stays readable and writable, for pg_dump
-- and for a refresh that began before an upgrade. VACUUM and ANALYZE take the same mode, for some milliseconds after
-- every 50 refreshes. A call without p_wait then behaves as if another refresh ran.
-- The lock comes before a transaction id is assigned. Otherwise a refresh that waits is itself an old transaction.
set local role robot_brain_stats;

drop function if exists robot_brain.refresh_lock;

create or replace function robot_brain.refresh_lock(p_wait boolean)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_wait then
    lock table robot_brain.refresh_state in share update exclusive mode;
    return true;
  end if;
  begin
    lock table robot_brain.refresh_state in share update exclusive mode nowait;
  exception
    when lock_not_available then
      return false;
  end;
  return true;
end
$$;
