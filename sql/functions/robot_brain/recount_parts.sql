-- Return the partitions of the turns. DEFAULT comes first and has no bounds.
set local role robot_brain_stats;

create or replace function robot_brain.recount_parts()
returns table (part text, from_at timestamptz, to_at timestamptz)
language sql
stable
set search_path = pg_catalog, pg_temp
-- The bounds become text, which PostgreSQL then parses, so both must use the same format.
set timezone = 'UTC'
set datestyle = 'ISO, YMD'
begin atomic
  select c.relname::text, b.bounds[1]::timestamptz, b.bounds[2]::timestamptz
  from pg_catalog.pg_inherits i
  join pg_catalog.pg_class c on c.oid = i.inhrelid
  cross join lateral pg_catalog.replace(
    pg_catalog.replace(pg_catalog.pg_get_expr(c.relpartbound, c.oid), 'MINVALUE', '''-infinity'''),
    'MAXVALUE', '''infinity'''
  ) e (bound)
  cross join lateral pg_catalog.regexp_match(e.bound, 'FROM \(''(.*)''\) TO \(''(.*)''\)') b (bounds)
  where i.inhparent = 'robot_brain.conversations'::regclass
  order by 2 nulls first;
end;
