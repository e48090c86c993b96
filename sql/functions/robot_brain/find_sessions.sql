-- Step of list_sessions. Find the sessions of a tenant by their metadata, in the order of the list, from a place on. No call
-- is slow: after about 40 milliseconds it returns what it has found, and the place at which the next call goes on.
--   p_user_id    only sessions of this user, or null
--   p_metadata   the object that user_metadata must contain, or null
--   p_path       the predicate that must be true for user_metadata, or null
--   p_active_hour, p_last_active, p_id   the place
--   sessions     up to p_most sessions
--   place        the last session that was looked at, if the time was spent before that many were found; otherwise null
-- 1. The next 1,000 sessions of the list are read one by one. If enough of them match, the list is read on.
-- 2. Otherwise the rest is found by the index of the metadata, if at most 10,000 sessions match.
-- 3. If more do, the list is read on until the time is spent.
-- For a user the second step is left out: its time would depend on the metadata of other users.
-- The function is stable: one snapshot for all statements, so a session that becomes active meanwhile is met only once.
set local role robot_brain_search;

create or replace function robot_brain.find_sessions(
  p_tenant_id text,
  p_user_id text,
  p_metadata jsonb,
  p_path jsonpath,
  p_active_hour timestamptz,
  p_last_active timestamptz,
  p_id text,
  p_most integer,
  out sessions robot_brain.sessions[],
  out place robot_brain.sessions
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set enable_seqscan = off
set enable_indexscan = on
set enable_bitmapscan = on
set enable_hashjoin = off
set enable_mergejoin = off
-- Another client of the pooler may have set it. Then the index would leave out matches at random.
set gin_fuzzy_search_limit = 0
set jit = off
-- Each plan has one kind of filter.
set plan_cache_mode = force_custom_plan
as $$
declare
  c_budget constant interval := '40 milliseconds';
  -- The first part takes 3 ms. It may take longer, so that the index is asked on a busy server, too.
  c_patience constant interval := '100 milliseconds';
  c_first constant integer := 1000;
  c_largest constant integer := 4000;  -- about 10 ms
  v_started constant timestamptz := clock_timestamp();
  -- An object or array without a value has no entry in the index. For a user the index is not used.
  v_may_use_index boolean := p_user_id is null and (
    p_path is not null
    or jsonb_path_exists(p_metadata, 'strict $.** ? (@.type() != "object" && @.type() != "array")')
  );
  v_ids text[] := '{}';
  v_part record;
  v_others text[];
  v_read integer := c_first;
  v_until timestamptz := v_started + c_patience;
  v_has_ended boolean;
begin
  place.active_hour := p_active_hour;
  place.last_active := p_last_active;
  place.id := p_id;
  loop
    v_part := robot_brain.match_listed(
      p_tenant_id, p_user_id, p_metadata, p_path, place.active_hour, place.last_active, place.id,
      v_read, p_most - cardinality(v_ids), v_until
    );
    v_ids := v_ids || v_part.ids;
    v_has_ended := v_part.has_ended or cardinality(v_ids) = p_most;
    exit when v_has_ended;
    place.active_hour := v_part.low_hour;
    place.last_active := v_part.low_active;
    place.id := v_part.low_id;

    exit when v_part.is_cut;
    if v_may_use_index and cardinality(v_ids) * 5 < p_most then
      v_others := robot_brain.match_metadata(
        p_tenant_id, p_metadata, p_path, place.active_hour, place.last_active, place.id, p_most - cardinality(v_ids),
        clock_timestamp() + c_budget / 2
      );
      v_has_ended := v_others is not null;
      exit when v_has_ended;
    end if;
    v_until := v_started + c_budget;
    exit when clock_timestamp() > v_until;
    v_may_use_index := false;
    v_read := least(2 * v_read, c_largest);
  end loop;

  sessions := array(
    select s
    from unnest(v_ids || v_others) with ordinality i (id, n)
    join robot_brain.sessions s on s.tenant_id = p_tenant_id and s.id = i.id
    order by i.n
  );
  if v_has_ended then
    place := null;
  end if;
end
$$;

grant execute on function robot_brain.find_sessions to robot_brain_owner;
