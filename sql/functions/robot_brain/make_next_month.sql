-- Make the first missing month: of this one and p_ahead more, and of those whose turns lie in DEFAULT. Returns
-- {"made": "2026-11" or null, "failed": ["2026-12", ...]}. The caller repeats it in a transaction of its own until nothing
-- is made, so that locks are short. A month that cannot be made does not hold back the next one; PostgreSQL's log says
-- why. One that is busy holds them all back, as they need the same locks, and is no failure: DEFAULT takes its turns.
-- One at a time: a second call makes nothing, at once. Both would read DEFAULT, and each would then wait for the other
-- to let go of it, one of them with every request behind it.
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
