-- The advisory lock that lets one at a time change the sums.
set local role robot_brain_stats;

create or replace function robot_brain.refresh_lock()
returns bigint
language sql
immutable
parallel safe
return pg_catalog.hashtextextended('robot_brain.refresh_stats', 0);
