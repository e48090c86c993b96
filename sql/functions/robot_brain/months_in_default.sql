-- Return the months (their first days, UTC) whose rows lie in the DEFAULT partition of p_table, which is conversations
-- or robot_interactions. It locks no other table. A row at infinity has no month. Writes never store one.
set local role robot_brain_stats;

drop function if exists robot_brain.months_in_default;

create or replace function robot_brain.months_in_default(p_table text)
returns setof date
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  return query execute format(
    'select distinct date_trunc(''month'', d.created_at at time zone interval ''0'')::date
     from robot_brain.%I d
     where isfinite(d.created_at)
     order by 1',
    p_table || '_default'
  );
end
$$;

grant execute on function robot_brain.months_in_default to robot_brain_owner, robot_brain_search;
