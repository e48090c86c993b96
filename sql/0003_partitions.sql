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

-- Make the partition of the month that p_month lies in (UTC), with the rows of that month that DEFAULT holds.
-- Does nothing if it exists. Takes a short exclusive lock on DEFAULT; raises lock_not_available (55P03) instead of
-- making writers queue behind it for longer than lock_timeout.
create function robot_brain.make_month(p_month date)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '500ms'
as $$
declare
  v_name constant text := 'conversations_' || to_char(p_month, 'YYYY_MM');
  v_from constant timestamptz := date_trunc('month', p_month::timestamp) at time zone 'UTC';
  v_to constant timestamptz := (date_trunc('month', p_month::timestamp) + interval '1 month') at time zone 'UTC';
begin
  if to_regclass(format('robot_brain.%I', v_name)) is not null then
    return false;
  end if;

  -- ONLY: with its months, autovacuum of any one of them would be waited for, and that takes longer than lock_timeout.
  lock table only robot_brain.conversations in share update exclusive mode;
  lock table robot_brain.conversations_default in access exclusive mode;
  -- Two that make the same month at once meet at this lock; the second one finds it made.
  if to_regclass(format('robot_brain.%I', v_name)) is not null then
    return false;
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

-- Make this month and p_ahead months after it, and return how many were made. A month that cannot be locked now is left
-- to the next call: DEFAULT takes its turns until then.
create function robot_brain.make_months(p_ahead integer)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_first constant timestamp := date_trunc('month', now() at time zone 'UTC');
  v_made integer := 0;
begin
  for i in 0 .. p_ahead loop
    begin
      if robot_brain.make_month((v_first + make_interval(months => i))::date) then
        v_made := v_made + 1;
      end if;
    exception when lock_not_available then
      raise log 'robot_brain: month % is busy and is left to the next refresh', v_first + make_interval(months => i);
      exit;
    end;
  end loop;
  return v_made;
end
$$;

grant execute on function robot_brain.make_months(integer) to robot_brain_stats;

do $$
begin
  perform robot_brain.make_months(24);
end
$$;

reset role;
