-- Return the months (their first days, UTC) whose turns lie in DEFAULT. A turn at infinity has no month. Writes never
-- store one.
set local role robot_brain_stats;

create or replace function robot_brain.months_in_default()
returns setof date
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
begin atomic
  select distinct pg_catalog.date_trunc('month', c.created_at at time zone interval '0')::date
  from robot_brain.conversations_default c
  where pg_catalog.isfinite(c.created_at)
  order by 1;
end;

grant execute on function robot_brain.months_in_default to robot_brain_owner;
