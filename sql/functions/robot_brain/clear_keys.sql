-- Delete up to p_most expired keys of all tenants, and return their number. Skips locked rows and never waits.
--   p_whole   search from the beginning, to find keys that were left behind when the clock stepped back
-- A search from the beginning also reads the index entries of deleted keys, until vacuum removes them. While a dump
-- holds its snapshot, these are thousands. So writes search from cleared_until on.
-- The settings force the planner to use the index. A table that was never analyzed looks small to the planner. After a
-- restart the server no longer knows how much the table has grown, so autovacuum does not analyze it soon.
set local role robot_brain_stats;

create or replace function robot_brain.clear_keys(p_most integer, p_whole boolean)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
  v_now constant timestamptz := clock_timestamp();
  v_from timestamptz;
  v_until timestamptz;
  v_left timestamptz;
  v_cleared integer;
begin
  -- The row may be missing, for example after a restore of some tables. Test for it first, because an insert on
  -- conflict would wait for another transaction that clears keys.
  if p_whole and not exists (select from robot_brain.key_clearing) then
    insert into robot_brain.key_clearing (cleared_until) values ('-infinity') on conflict (tenant_id) do nothing;
  end if;
  select c.cleared_until into v_from from robot_brain.key_clearing c where c.tenant_id = '*' for update skip locked;
  if not found then
    return 0;  -- another transaction is clearing keys
  end if;
  if p_whole or v_from > v_now then
    v_from := '-infinity';
  end if;

  with gone as (
    delete from robot_brain.idempotency_keys k
    where k.ctid = any (array(
      select e.ctid
      from robot_brain.idempotency_keys e
      where e.expires_at >= v_from and e.expires_at <= v_now
      order by e.expires_at
      limit p_most
      for update skip locked
    ))
    returning k.expires_at
  )
  select count(*), max(g.expires_at) into v_cleared, v_until from gone g;

  if v_cleared < p_most then
    v_until := v_now;
  end if;
  -- A key that another transaction has locked is still there. The next search must begin with that key.
  select e.expires_at into v_left
  from robot_brain.idempotency_keys e
  where e.expires_at >= v_from and e.expires_at <= v_until
  order by e.expires_at
  limit 1;
  update robot_brain.key_clearing c set cleared_until = coalesce(v_left, v_until) where c.tenant_id = '*';
  return v_cleared;
end
$$;

grant execute on function robot_brain.clear_keys to robot_brain_owner;
