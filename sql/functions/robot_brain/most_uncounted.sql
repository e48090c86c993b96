-- Return the number of uncounted rows above which a reader refreshes first. To read so many takes a few milliseconds.
set local role robot_brain_stats;

create or replace function robot_brain.most_uncounted()
returns integer
language sql
immutable
parallel safe
return 10000;

grant execute on function robot_brain.most_uncounted to robot_brain_owner;
