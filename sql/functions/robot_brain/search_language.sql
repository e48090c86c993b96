-- Return the text search configuration that makes the words, or null if the search is off.
-- The choice is in search_state (make migrate SEARCH=). This file makes a constant of it, so that a write reads no row.
set local role robot_brain_search;

do $$
begin
  execute format(
    'create or replace function robot_brain.search_language()
    returns regconfig
    language sql
    immutable
    parallel safe
    return %L::pg_catalog.regconfig',
    (select s.language from robot_brain.search_state s where s.tenant_id = '*')
  );
end
$$;

grant execute on function robot_brain.search_language to robot_brain_owner, robot_brain_stats;
