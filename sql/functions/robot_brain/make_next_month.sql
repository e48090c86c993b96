-- Make the first missing partition, of conversations first, then of robot_interactions. Each of the two tables needs this
-- month, the next p_ahead months, and each month whose rows lie in its DEFAULT partition. Returns
-- {"made": "2026-11" or null, "failed": ["2026-12", ...]}. The caller repeats the call, each time in a new transaction,
-- until no partition is made. So each lock is short, and no transaction holds strong locks on both tables. "made" is a
-- month twice if both tables needed it.
-- If a partition cannot be made, PostgreSQL's log says why, and the next one is tried. If one is busy, no other month of
-- the same table is tried, because all need the same locks. That is no failure, because DEFAULT takes the month's rows.
-- If another call runs, this one returns at once and makes no partition. Otherwise both would read DEFAULT and then wait
-- for each other's lock on DEFAULT, and every request would queue behind one of them.
set local role robot_brain_owner;

create or replace function robot_brain.make_next_month(p_ahead integer)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_this constant timestamp := date_trunc('month', clock_timestamp() at time zone interval '0');
  v_failed text[] := '{}';
  v_table text;
  v_month date;
begin
  -- A lock on a table that no login may lock. A login may take any advisory lock.
  begin
    lock table robot_brain.month_making in share row exclusive mode nowait;
  exception
    when lock_not_available then
      return jsonb_build_object('made', null, 'failed', v_failed);
  end;

  foreach v_table in array array['conversations', 'robot_interactions'] loop
    for v_month in
      select robot_brain.months_in_default(v_table)
      union
      select (v_this + make_interval(months => n))::date from generate_series(0, p_ahead) n
      order by 1
    loop
      begin
        if robot_brain.make_month(v_month, v_table) then
          return jsonb_build_object('made', to_char(v_month, 'YYYY-MM'), 'failed', v_failed);
        end if;
      exception
        when lock_not_available then
          raise log 'robot_brain: month % of % is busy and is left to the next refresh',
            to_char(v_month, 'YYYY-MM'), v_table;
          exit;
        when others then
          raise log 'robot_brain: month % of % cannot be made: % %',
            to_char(v_month, 'YYYY-MM'), v_table, sqlstate, sqlerrm;
          if to_char(v_month, 'YYYY-MM') <> all (v_failed) then
            v_failed := v_failed || to_char(v_month, 'YYYY-MM');
          end if;
      end;
    end loop;
  end loop;
  return jsonb_build_object('made', null, 'failed', v_failed);
end
$$;
