-- Return the tenant's figures, or with p_session_id the present figures of one session. body is null if that session is
-- unknown. One statement reads the sums and the uncounted rows, so the figures are exact for all that is committed.
-- Totals and personalities are of the sessions and turns that exist. Days are history: removals do not change them.
-- Averages are over turns with an answer, null without one. as_of is the time of top_sessions.
--   p_max_age   the allowed age of top_sessions in seconds, 0 for any age
--   p_as_user   the end user of the request, or null for a caller that sees all. An end user gets one session's figures only
--   stale       a refresh is due: there are too many uncounted rows, or top_sessions is older than p_max_age and turns
--               were written since
set local role robot_brain_owner;

drop function if exists robot_brain_api.stats;

create or replace function robot_brain_api.stats(
  p_tenant_id text,
  p_session_id text default null,
  p_max_age integer default 0,
  p_as_user text default null,
  p_schema_version integer default null,
  out body text,
  out stale boolean
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  v_now constant timestamptz := clock_timestamp();
  v_today constant date := (v_now at time zone interval '0')::date;
  v_is_filled boolean;
  v_refreshed_at timestamptz;
  v_view_due boolean;
  v_uncounted bigint;
  v_set text;  -- takes a result that is not used, because an assignment costs less than perform
begin
  if p_schema_version > robot_brain.served_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  v_set := set_config('robot_brain.tenant_id', p_tenant_id, true);

  if p_session_id is not null or p_as_user is not null then
    stale := false;
    body := robot_brain.session_figures(p_tenant_id, p_session_id, p_as_user);
    return;
  end if;

  -- The state may be missing, for example after a restore of some tables. The next refresh creates it.
  select v.relispopulated, coalesce(r.refreshed_at, 'epoch'), coalesce(r.view_due, true)
  into v_is_filled, v_refreshed_at, v_view_due
  from pg_class v left join robot_brain.refresh_state r on r.tenant_id = '*'
  where v.oid = 'robot_brain.session_stats'::regclass;
  -- A restore may leave the view without data, and a query of the view then fails. The first reader fills the view,
  -- because the schedule may skip a database that is asleep.
  if not v_is_filled then
    v_set := robot_brain.refresh_view(true);
    select r.refreshed_at, r.view_due into v_refreshed_at, v_view_due from robot_brain.refresh_state r;
  end if;

  with uncounted as materialized (
    select
      u.day, u.robot_personality, sum(u.messages) as messages, sum(u.response_length) as response_length,
      sum(u.unanswered) as unanswered, sum(u.sessions) as sessions, sum(u.opened) as opened, sum(u.interactions) as interactions, count(*) as rows
    from robot_brain.uncounted u where u.tenant_id = p_tenant_id
    group by 1, 2
  )
  select
    (select coalesce(sum(u.rows), 0) from uncounted u),
    json_build_object(
      -- The clock may have been ahead when the view was made.
      'as_of', robot_brain.iso_time(least(v_refreshed_at, v_now)),
      'age_seconds', greatest(0, floor(extract(epoch from v_now - v_refreshed_at)))::bigint,
      'totals', (
        select json_build_object(
          'sessions', coalesce(sum(t.sessions), 0),
          'messages', coalesce(sum(t.messages), 0),
          'interactions', coalesce(sum(t.interactions), 0)
        )
        from (
          select c.sessions, c.messages, c.interactions from robot_brain.tenant_stats c where c.tenant_id = p_tenant_id
          union all
          select u.sessions, u.messages, u.interactions from uncounted u
        ) t
      ),
      'personalities', (
        -- At most 1000, because a tenant may use another personality in each turn and every answer has a limit.
        select coalesce(json_agg(json_build_object(
          'robot_personality', p.robot_personality,
          'messages', p.messages,
          'avg_response_length', round(p.response_length / nullif(p.messages - p.unanswered, 0), 2)
        ) order by p.messages desc, p.robot_personality collate "C"), '[]')
        from (
          select
            b.robot_personality, sum(b.messages) as messages, sum(b.response_length) as response_length,
            sum(b.unanswered) as unanswered
          from (
            select c.robot_personality, c.messages, c.response_length, c.unanswered
            from robot_brain.personality_stats c where c.tenant_id = p_tenant_id
            union all
            select u.robot_personality, u.messages, u.response_length, u.unanswered from uncounted u
          ) b
          group by b.robot_personality
          -- All turns of a personality may have been removed.
          having sum(b.messages) > 0
          order by messages desc, b.robot_personality collate "C"
          limit 1000
        ) p
      ),
      'daily', (
        select json_agg(json_build_object(
          'date', v_today - ago, 'sessions', coalesce(d.sessions, 0), 'messages', coalesce(d.messages, 0)
        ) order by ago desc)
        from generate_series(0, 30) ago
        left join (
          select b.day, sum(b.sessions) as sessions, sum(b.messages) as messages
          from (
            select c.day, c.sessions, c.messages from robot_brain.daily_stats c
            where c.tenant_id = p_tenant_id and c.day >= v_today - 30
            union all
            select u.day, u.opened, u.messages from uncounted u
          ) b
          group by b.day
        ) d on d.day = v_today - ago
      ),
      'top_sessions', (select t.sessions from robot_brain.top_sessions(p_tenant_id, v_today) t)
    )
  into v_uncounted, body;

  stale := v_uncounted > robot_brain.most_uncounted()
    or (p_max_age > 0 and (v_uncounted > 0 or v_view_due)
      and (v_refreshed_at <= v_now - make_interval(secs => p_max_age) or v_refreshed_at > v_now));
end
$$;

grant execute on function robot_brain_api.stats to robot_brain_app;
