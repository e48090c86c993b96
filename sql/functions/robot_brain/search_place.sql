-- Step of search. Return a place in a search for its cursor. Infinity is no number in JSON, so the last second of the year
-- 9999 stands for it, and the year 1 for its opposite.
set local role robot_brain_owner;

create or replace function robot_brain.search_place(p_time timestamptz, p_session text, p_seq integer)
returns json
language sql
immutable
return pg_catalog.json_build_array(
  (extract(epoch from greatest(least(p_time, to_timestamp(253402300799)), to_timestamp(-62135596800))) * 1000000)::bigint, p_session, p_seq
);
