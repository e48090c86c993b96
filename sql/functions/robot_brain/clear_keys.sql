-- Delete up to p_most expired keys of all tenants, and return how many. Waits for nobody.
--   p_whole   look from the beginning, for keys that a clock that stepped back has left behind
-- A look from the beginning reads the entries of deleted keys too, until they are vacuumed: thousands, while a dump holds
-- its snapshot. So writes look from cleared_until on. The planner must not do without the index: a table that was never
-- analyzed looks small to it, and after a restart of the server nobody knows that it has grown.
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
  -- The row may have been lost, as by a restore of some tables. An insert on conflict would wait for another clearing.
  if p_whole and not exists (select from robot_brain.key_clearing) then
    insert into robot_brain.key_clearing (cleared_until) values ('-infinity') on conflict (tenant_id) do nothing;
  end if;
  select c.cleared_until into v_from from robot_brain.key_clearing c where c.tenant_id = '*' for update skip locked;
  if not found then
    return 0;  -- another one is at it
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
  -- A key that another transaction holds is left behind, and must not be forgotten.
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
