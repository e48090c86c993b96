-- Partition the interactions by month, as the turns are, and find them by their session.
-- outside a transaction
--
-- The new table takes over the name in one short transaction. Writes go on, also those of the older functions. Then the
-- rows move out of robot_interactions_old, and each row is always in exactly one of the two tables.
-- Each statement first looks what is left to do. So after a kill at any moment the file runs again from its start.
-- Until the last row has moved, robot_brain_stats may not read the table. A recount then fails. Otherwise it would count
-- too few interactions, and would change the statistics.

set role robot_brain_owner;
set row_security = on;
-- The bounds of the months become text and are read again.
set timezone = 'UTC';
set datestyle = 'ISO, YMD';
-- Longer than deadlock_timeout, because autovacuum gives a table up only after that time. Shorter than the lock_timeout
-- of robot_brain_app, so that no write fails while it waits for us.
set lock_timeout = '2s';
set statement_timeout = '60s';

do $$
declare
  v_name text;
  v_bounds text;
begin
  if to_regclass('robot_brain.robot_interactions_old') is not null
    or (select c.relkind from pg_class c where c.oid = 'robot_brain.robot_interactions'::regclass) = 'p'
  then
    return;
  end if;

  alter table robot_brain.robot_interactions rename to robot_interactions_old;
  alter table robot_brain.robot_interactions_old
    rename constraint robot_interactions_pkey to robot_interactions_old_pkey;
  -- The rows of all tenants must move, and with forced RLS the owner sees only those of one.
  alter table robot_brain.robot_interactions_old no force row level security;

  create table robot_brain.robot_interactions (
    tenant_id text not null,
    session_id text not null,
    seq integer not null,
    created_at timestamptz not null,
    id uuid not null default gen_random_uuid(),
    robot_id varchar(50) not null,
    interaction_type varchar(50) not null,
    duration_ms integer not null,
    success boolean not null,
    metadata jsonb not null default '{}',
    constraint robot_interactions_pkey primary key (tenant_id, session_id, seq, created_at),
    constraint robot_interactions_metadata_size
      check (octet_length(metadata::text) <= 16384 and jsonb_typeof(metadata) = 'object')
  ) partition by range (created_at);
  comment on index robot_brain.robot_interactions_pkey is 'The interactions of a session''s turns';

  alter table robot_brain.robot_interactions enable row level security;
  alter table robot_brain.robot_interactions force row level security;
  create policy tenant on robot_brain.robot_interactions to robot_brain_owner
    using (tenant_id = nullif(pg_catalog.current_setting('robot_brain.tenant_id', true), ''));
  create policy every_tenant on robot_brain.robot_interactions for select to robot_brain_stats using (true);

  -- As conversations_default: months_in_default looks for what has no month yet.
  create table robot_brain.robot_interactions_default partition of robot_brain.robot_interactions default;
  alter table robot_brain.robot_interactions_default enable row level security;
  alter table robot_brain.robot_interactions_default force row level security;
  create policy every_tenant on robot_brain.robot_interactions_default for select to robot_brain_stats using (true);
  grant select on robot_brain.robot_interactions_default to robot_brain_stats;

  -- The months of the turns, as robot_brain.make_month makes the later ones.
  for v_name, v_bounds in
    select replace(c.relname, 'conversations', 'robot_interactions'), pg_get_expr(c.relpartbound, c.oid)
    from pg_inherits i
    join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'robot_brain.conversations'::regclass and pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT'
    order by 1
  loop
    execute format('create table robot_brain.%I (like robot_brain.robot_interactions including all)', v_name);
    execute format('alter table robot_brain.%I enable row level security', v_name);
    execute format('alter table robot_brain.%I force row level security', v_name);
    execute format('alter table robot_brain.robot_interactions attach partition robot_brain.%I %s', v_name, v_bounds);
  end loop;
end
$$;

-- The move is one statement, and takes as long as there are rows.
set statement_timeout = 0;
-- The table was perhaps never analyzed.
set enable_seqscan = off;

do $$
declare
  v_tenant text := '';
  v_first bigint;
  v_last bigint := (-9223372036854775808)::bigint;
  v_left integer;
  v_moved integer;
begin
  if to_regclass('robot_brain.robot_interactions_old') is null then
    return;
  end if;

  -- Each round of the outer loop is a transaction of up to 10,000 rows, each round of the inner loop one tenant of them.
  -- A round begins after the last row that was moved. From the index's start it would first read all deleted rows.
  loop
    v_left := 10000;
    while v_left > 0 loop
      select o.tenant_id, o.id into v_tenant, v_first
      from robot_brain.robot_interactions_old o
      where (o.tenant_id, o.id) > (v_tenant, v_last)
      order by o.tenant_id, o.id
      limit 1;
      exit when not found;

      v_last := (
        select max(b.id)
        from (
          select o.id
          from robot_brain.robot_interactions_old o
          where o.tenant_id = v_tenant and o.id >= v_first
          order by o.id
          limit v_left
        ) b
      );
      perform set_config('robot_brain.tenant_id', v_tenant, true);
      with moved as (
        delete from robot_brain.robot_interactions_old o
        where o.tenant_id = v_tenant and o.id between v_first and v_last
        returning *
      )
      insert into robot_brain.robot_interactions (
        tenant_id,
        session_id,
        seq,
        created_at,
        robot_id,
        interaction_type,
        duration_ms,
        success,
        metadata
      )
      select
        m.tenant_id,
        m.session_id,
        m.seq,
        m.created_at,
        m.robot_id,
        m.interaction_type,
        m.duration_ms,
        m.success,
        m.metadata
      from moved m;
      get diagnostics v_moved = row_count;
      v_left := v_left - v_moved;
    end loop;
    commit;
    exit when v_left > 0;
  end loop;
end
$$;

set statement_timeout = '60s';

do $$
begin
  if to_regclass('robot_brain.robot_interactions_old') is null then
    return;
  end if;
  lock table robot_brain.robot_interactions_old in access exclusive mode;
  if exists (select from robot_brain.robot_interactions_old) then
    raise exception 'robot_interactions_old still has rows';
  end if;
  drop table robot_brain.robot_interactions_old;
  grant select on robot_brain.robot_interactions to robot_brain_stats;
end
$$;
