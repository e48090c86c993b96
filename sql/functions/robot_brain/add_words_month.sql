-- Step of fill_words. Make the month of turn_words that has p_at, if it is missing. It locks no reader out.
set local role robot_brain_search;

create or replace function robot_brain.add_words_month(p_at timestamptz)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
-- The bounds below become text, which PostgreSQL then parses, so both must use the same format.
set timezone = 'UTC'
set datestyle = 'ISO, YMD'
as $$
declare
  v_from constant timestamptz := date_trunc('month', p_at, 'UTC');
  v_name constant text := 'turn_words_' || to_char(v_from, 'YYYY_MM');
begin
  if to_regclass('robot_brain.' || quote_ident(v_name)) is not null then
    return;
  end if;
  execute format('create table robot_brain.%I (like robot_brain.turn_words including all)', v_name);
  execute format('alter table robot_brain.%I enable row level security', v_name);
  execute format('alter table robot_brain.%I force row level security', v_name);
  execute format(
    'alter table robot_brain.turn_words attach partition robot_brain.%I for values from (%L) to (%L)',
    v_name, v_from, v_from + interval '1 month'
  );
end
$$;
