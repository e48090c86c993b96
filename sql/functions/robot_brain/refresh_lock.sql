-- Return the key of the advisory lock under which the sums are changed, by one transaction at a time.
set local role robot_brain_stats;

create or replace function robot_brain.refresh_lock()
returns bigint
language sql
immutable
parallel safe
return pg_catalog.hashtextextended('robot_brain.refresh_stats', 0);
