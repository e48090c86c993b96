-- Return a moment in the API's form: in UTC for any TimeZone of the server, always with six digits of the second.
set local role robot_brain_owner;

create or replace function robot_brain.iso_time(p_time timestamptz)
returns text
language sql
stable
strict
parallel safe
return pg_catalog.to_char(p_time at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

grant execute on function robot_brain.iso_time to robot_brain_stats, robot_brain_search;
