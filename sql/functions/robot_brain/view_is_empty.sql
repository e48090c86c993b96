-- Return whether session_stats was never filled, for example after a restore that failed to fill it. To read the view
-- then fails.
set local role robot_brain_stats;

create or replace function robot_brain.view_is_empty()
returns boolean
language sql
stable
return (select not c.relispopulated from pg_catalog.pg_class c where c.oid = 'robot_brain.session_stats'::regclass);

grant execute on function robot_brain.view_is_empty to robot_brain_owner;
