-- Return true if no other recount of this database runs. Then no other can begin until this connection unlocks or ends.
set local role robot_brain_stats;

create or replace function robot_brain.recount_alone()
returns boolean
language sql
set search_path = pg_catalog, pg_temp
return pg_try_advisory_lock(hashtextextended('robot_brain.recount', 0));
