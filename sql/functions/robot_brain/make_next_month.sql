-- Make the first missing month. Needed are this month, the next p_ahead months, and each month whose turns lie in
-- DEFAULT. Returns {"made": "2026-11" or null, "failed": ["2026-12", ...]}. The caller repeats the call, each time in a
-- new transaction, until no month is made. So each lock is short.
-- If a month cannot be made, PostgreSQL's log says why, and the next month is tried. If a month is busy, no other month
-- is tried, because all need the same locks. That is no failure, because DEFAULT takes the month's turns.
-- If another call runs, this one returns at once and makes no month. Otherwise both would read DEFAULT and then wait
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
  v_month date;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('robot_brain.make_month', 0)) then
    return jsonb_build_object('made', null, 'failed', v_failed);
  end if;

  for v_month in
    select robot_brain.months_in_default()
    union
    select (v_this + make_interval(months => n))::date from generate_series(0, p_ahead) n
    order by 1
  loop
    begin
      if robot_brain.make_month(v_month) then
        return jsonb_build_object('made', to_char(v_month, 'YYYY-MM'), 'failed', v_failed);
      end if;
    exception
      when lock_not_available then
        raise log 'robot_brain: month % is busy and is left to the next refresh', to_char(v_month, 'YYYY-MM');
        exit;
      when others then
        raise log 'robot_brain: month % cannot be made: % %', to_char(v_month, 'YYYY-MM'), sqlstate, sqlerrm;
        v_failed := v_failed || to_char(v_month, 'YYYY-MM');
    end;
  end loop;
  return jsonb_build_object('made', null, 'failed', v_failed);
end
$$;
