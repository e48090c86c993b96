-- depends: 0002_tables
-- Months of turns. A turn whose month is missing lands in conversations_default, never nowhere; making its month later
-- moves it there in the same transaction.

set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local role robot_brain_owner;

create table robot_brain.conversations_default partition of robot_brain.conversations default;

-- RLS of the parent is not applied to a partition that is named directly, so each has it switched on, and no policy:
-- that denies everybody everything. Queries go through the parent, whose policies they get.
alter table robot_brain.conversations_default enable row level security;
alter table robot_brain.conversations_default force row level security;

-- What has no month yet is looked for by robot_brain_stats, which sees every tenant.
grant select on robot_brain.conversations_default to robot_brain_stats;
create policy every_tenant on robot_brain.conversations_default for select to robot_brain_stats using (true);
grant create on schema robot_brain to robot_brain_stats;
reset role;

set local role robot_brain_stats;

-- The months (first days, UTC) whose turns lie in DEFAULT. A turn at infinity, which no write leaves, has no month.
create function robot_brain.months_in_default()
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

grant execute on function robot_brain.months_in_default() to robot_brain_owner;
reset role;

set local role robot_brain_owner;
revoke create on schema robot_brain from robot_brain_stats;

-- Make the partition of the month that p_month lies in (UTC), with the turns of that month that DEFAULT holds. Returns
-- false if the month exists. Raises lock_not_available (55P03) if requests would queue for longer than lock_timeout.
--
-- Locks: the parent, then DEFAULT. While turns are moved, a request that was planned with DEFAULT must not run: a read
-- would find an empty page, and a write would be refused by DEFAULT's constraint. So the parent is locked against every
-- request, but only if there are turns to move. Otherwise requests go on, and a write that meets the lock on DEFAULT
-- gets 23514 without the name of a constraint, which its caller repeats.
create function robot_brain.make_month(p_month date)
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

-- Whether a table of this name is a month of the turns. Raises duplicate_table (42P07) if it is something else: its turns
-- would stay in DEFAULT, and nobody would know why.
create function robot_brain.month_exists(p_name text)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_table constant regclass := to_regclass(format('robot_brain.%I', p_name));
begin
  if v_table is null then
    return false;
  end if;
  if not exists (
    select from pg_inherits i where i.inhrelid = v_table and i.inhparent = 'robot_brain.conversations'::regclass
  ) then
    raise duplicate_table using
      message = format('the table robot_brain.%s exists and is no month of the turns', p_name),
      hint = 'Attach it to robot_brain.conversations again, or rename it.';
  end if;
  return true;
end
$$;

-- Make the first missing month: of this one and p_ahead more, and of those whose turns lie in DEFAULT. Returns
-- {"made": "2026-11" or null, "failed": ["2026-12", ...]}. The caller repeats it in a transaction of its own until nothing
-- is made, so that locks are short. A month that cannot be made does not hold back the next one; PostgreSQL's log says
-- why. One that is busy holds them all back, as they need the same locks, and is no failure: DEFAULT takes its turns.
-- One at a time: a second call makes nothing, at once. Both would read DEFAULT, and each would then wait for the other
-- to let go of it, one of them with every request behind it.
create function robot_brain.make_next_month(p_ahead integer)
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

do $$
begin
  while robot_brain.make_next_month(24) ->> 'made' is not null loop
  end loop;
end
$$;

reset role;
