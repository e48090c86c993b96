-- Return a text in small letters, as many signs as it had.
-- A database of the locale C knows the capital letters of ASCII only. PostgreSQL 17 and later have the collation
-- pg_c_utf8 in each database, and this file takes it if it is there.
set local role robot_brain_search;

do $$
begin
  execute format(
    'create or replace function robot_brain.lower_text(p_text text)
    returns text
    language sql
    immutable
    parallel safe
    return case
      when pg_catalog.length(pg_catalog.lower(p_text collate %1$s)) = pg_catalog.length(p_text)
      then pg_catalog.lower(p_text collate %1$s)
      else p_text
    end',
    case when to_regcollation('pg_catalog.pg_c_utf8') is null then 'pg_catalog."default"' else 'pg_catalog.pg_c_utf8' end
  );
end
$$;

grant execute on function robot_brain.lower_text to robot_brain_owner;
