-- Make the partition of p_table for the month of p_month (UTC), and move that month's rows from DEFAULT into it. p_table
-- is conversations or robot_interactions. Returns false if the partition exists. Raises lock_not_available (55P03) if
-- requests would queue for longer than lock_timeout.
--
-- Locks: the parent, then DEFAULT. It locks only one of the two tables, so it cannot be in a deadlock with a request that
-- uses both. While rows are moved, no request that was planned with DEFAULT may run. A read would find an empty
-- page, and DEFAULT's constraint would refuse a write. So if there are rows to move, the parent is locked against every
-- request. Otherwise requests continue. A write that waited for the lock on DEFAULT then gets 23514 without the name of a
-- constraint, and its caller retries it.
set local role robot_brain_owner;

drop function if exists robot_brain.make_month;

create or replace function robot_brain.make_month(p_month date, p_table text default 'conversations')
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '500ms'
-- The bounds below become text, which PostgreSQL then parses, so both must use the same format.
set timezone = 'UTC'
set datestyle = 'ISO, YMD'
as $$
declare
  v_name constant text := p_table || '_' || to_char(p_month, 'YYYY_MM');
  v_default constant text := p_table || '_default';
  v_first constant date := date_trunc('month', p_month::timestamp)::date;
  v_from constant timestamptz := v_first::timestamp at time zone interval '0';
  v_to constant timestamptz := (v_first::timestamp + interval '1 month') at time zone interval '0';
  v_moves boolean;
begin
  if robot_brain.month_exists(v_name, p_table) then
    return false;
  end if;

  v_moves := v_first in (select robot_brain.months_in_default(p_table));
  -- ONLY, because the lock would otherwise wait for autovacuum of any month, and that takes longer than lock_timeout.
  execute format(
    'lock table only robot_brain.%I in %s mode',
    p_table, case when v_moves then 'access exclusive' else 'share update exclusive' end
  );
  execute format('lock table robot_brain.%I in access exclusive mode', v_default);
  -- If two calls make the same month at once, the second waits for this lock and then finds the month.
  if robot_brain.month_exists(v_name, p_table) then
    return false;
  end if;
  if not v_moves and v_first in (select robot_brain.months_in_default(p_table)) then
    raise lock_not_available using message = format('rows of %s arrived meanwhile', v_name);
  end if;

  execute format('create table robot_brain.%I (like robot_brain.%I including all)', v_name, p_table);

  -- With forced RLS and without a tenant the owner sees no rows, but the rows of all tenants must be moved. No other
  -- transaction can read DEFAULT while it is locked, so force may be off until the rows are moved.
  execute format('alter table robot_brain.%I no force row level security', v_default);
  execute format(
    'with moved as (delete from robot_brain.%I where created_at >= $1 and created_at < $2 returning *)
     insert into robot_brain.%I select * from moved',
    v_default, v_name
  ) using v_from, v_to;
  execute format('alter table robot_brain.%I force row level security', v_default);

  execute format('alter table robot_brain.%I enable row level security', v_name);
  execute format('alter table robot_brain.%I force row level security', v_name);
  execute format(
    'alter table robot_brain.%I attach partition robot_brain.%I for values from (%L) to (%L)',
    p_table, v_name, v_from, v_to
  );
  return true;
end
$$;
