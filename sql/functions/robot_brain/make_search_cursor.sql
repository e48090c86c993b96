-- Return the cursor of a place in a search: numbers and texts, and a short text for the query and the filters that the
-- cursor is good with. Times are microseconds since 1970, or null.
set local role robot_brain_owner;

create or replace function robot_brain.make_search_cursor(p_place json, p_list text)
returns text
language sql
immutable
return pg_catalog.encode(
  pg_catalog.convert_to(pg_catalog.json_build_array(p_place, robot_brain.list_filter(p_list))::text, 'UTF8'), 'hex'
);
