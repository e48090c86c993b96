-- Step of find_sessions. Return the first p_most sessions after a place of the list that match, found by the index of the
-- metadata. ids is null if more than 10,000 sessions match, or if not all of them were read at p_until.
-- The parameters are those of match_listed. p_metadata or p_path must have a value for the index to look for.
-- The condition on tenant_id is an expression, and erasures are left out later, so that the planner has no other index.
set local role robot_brain_search;

create or replace function robot_brain.match_metadata(
  p_tenant_id text,
  p_metadata jsonb,
  p_path jsonpath,
  p_active_hour timestamptz,
  p_last_active timestamptz,
  p_id text,
  p_most integer,
  p_until timestamptz,
  out ids text[]
)
language plpgsql
stable
as $$
declare
  c_most constant integer := 10000;
  v_metadata constant jsonb := jsonb_set('{}', array[p_tenant_id], coalesce(p_metadata, '{}'));
  v_path constant jsonpath := robot_brain.tenant_path(p_tenant_id, p_path);
  v_found record;
  v_hours timestamptz[] := '{}';
  v_actives timestamptz[] := '{}';
  v_ids text[] := '{}';
  v_read integer := 0;
begin
  for v_found in
    select s.active_hour, s.last_active, s.id, s.erasing_at
    from robot_brain.sessions s
    where jsonb_set('{}', array[s.tenant_id::text], s.user_metadata) @> v_metadata
      and (v_path is null or jsonb_set('{}', array[s.tenant_id::text], s.user_metadata) @@ v_path)
      and s.user_metadata <> '{}'
      and s.tenant_id || '' = p_tenant_id
      and s.active_hour <= p_active_hour
      and (s.active_hour < p_active_hour or (s.last_active, s.id collate "C") < (p_last_active, p_id))
  loop
    v_read := v_read + 1;
    if v_read > c_most or (v_read % 100 = 0 and clock_timestamp() > p_until) then
      return;
    end if;
    if v_found.erasing_at is null then
      v_hours := v_hours || v_found.active_hour;
      v_actives := v_actives || v_found.last_active;
      v_ids := v_ids || v_found.id::text;
    end if;
  end loop;
  ids := array(
    select f.id
    from unnest(v_hours, v_actives, v_ids) f (active_hour, last_active, id)
    order by f.active_hour desc, f.last_active desc, f.id collate "C" desc
    limit p_most
  );
end
$$;
