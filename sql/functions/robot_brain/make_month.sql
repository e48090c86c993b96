-- Make the partition of the month that p_month lies in (UTC), with the turns of that month that DEFAULT holds. Returns
-- false if the month exists. Raises lock_not_available (55P03) if requests would queue for longer than lock_timeout.
--
-- Locks: the parent, then DEFAULT. While turns are moved, a request that was planned with DEFAULT must not run: a read
-- would find an empty page, and a write would be refused by DEFAULT's constraint. So the parent is locked against every
-- request, but only if there are turns to move. Otherwise requests go on, and a write that meets the lock on DEFAULT
-- gets 23514 without the name of a constraint, which its caller repeats.
set local role robot_brain_owner;

create or replace function robot_brain.make_month(p_month date)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '500ms'
-- The bounds below become text and are read again.
set timezone = 'UTC'
set datestyle = 'ISO, YMD'
as $$
declare
  v_name constant text := 'conversations_' || to_char(p_month, 'YYYY_MM');
  v_first constant date := date_trunc('month', p_month::timestamp)::date;
  v_from constant timestamptz := v_first::timestamp at time zone interval '0';
  v_to constant timestamptz := (v_first::timestamp + interval '1 month') at time zone interval '0';
  v_moves boolean;
begin
  if robot_brain.month_exists(v_name) then
    return false;
  end if;

  v_moves := v_first in (select robot_brain.months_in_default());
  -- ONLY: with its months, autovacuum of any one of them would be waited for, and that takes longer than lock_timeout.
  if v_moves then
    lock table only robot_brain.conversations in access exclusive mode;
  else
    lock table only robot_brain.conversations in share update exclusive mode;
  end if;
  lock table robot_brain.conversations_default in access exclusive mode;
  -- Two that make the same month at once meet at this lock; the second one finds it made.
  if robot_brain.month_exists(v_name) then
    return false;
  end if;
  if not v_moves and v_first in (select robot_brain.months_in_default()) then
    raise lock_not_available using message = format('turns of the month %s arrived meanwhile', v_name);
  end if;

  execute format('create table robot_brain.%I (like robot_brain.conversations including all)', v_name);

  -- Under forced RLS the owner sees no rows without a tenant, and a month has those of all tenants. While DEFAULT is
  -- locked nobody else can look, so force may be off until the rows are moved.
  alter table robot_brain.conversations_default no force row level security;
  execute format(
    'with moved as (
       delete from robot_brain.conversations_default where created_at >= $1 and created_at < $2 returning *
     )
     insert into robot_brain.%I select * from moved',
    v_name
  ) using v_from, v_to;
  alter table robot_brain.conversations_default force row level security;

  execute format('alter table robot_brain.%I enable row level security', v_name);
  execute format('alter table robot_brain.%I force row level security', v_name);
  execute format(
    'alter table robot_brain.conversations attach partition robot_brain.%I for values from (%L) to (%L)',
    v_name, v_from, v_to
  );
  return true;
end
$$;
