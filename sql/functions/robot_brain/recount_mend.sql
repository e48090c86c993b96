-- Add the differences to the sums. Then delete the tenant's rows in tenant_stats and personality_stats that are zero.
-- An entry of the audit trail has how many figures differed, and what was added to the totals.
set local role robot_brain_stats;

create or replace function robot_brain.recount_mend(p_tenant_id text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform robot_brain.refresh_lock(p_wait => true);

  insert into robot_brain.tenant_stats as t (tenant_id, sessions, messages, interactions)
  select
    p_tenant_id,
    coalesce(sum(d.counted - d.was) filter (where d.figure = 'sessions'), 0),
    coalesce(sum(d.counted - d.was) filter (where d.figure = 'messages'), 0),
    coalesce(sum(d.counted - d.was) filter (where d.figure = 'interactions'), 0)
  from pg_temp.recount_differs d
  on conflict (tenant_id) do update set
    sessions = t.sessions + excluded.sessions,
    messages = t.messages + excluded.messages,
    interactions = t.interactions + excluded.interactions;

  insert into robot_brain.personality_stats as p (
    tenant_id, robot_personality, messages, response_length, unanswered
  )
  select
    p_tenant_id,
    d.name,
    coalesce(sum(d.counted - d.was) filter (where d.figure = 'personality messages'), 0),
    coalesce(sum(d.counted - d.was) filter (where d.figure = 'personality response_length'), 0),
    coalesce(sum(d.counted - d.was) filter (where d.figure = 'personality unanswered'), 0)
  from pg_temp.recount_differs d
  where d.figure like 'personality %'
  group by d.name
  on conflict (tenant_id, robot_personality) do update set
    messages = p.messages + excluded.messages,
    response_length = p.response_length + excluded.response_length,
    unanswered = p.unanswered + excluded.unanswered;

  insert into robot_brain.daily_stats as s (tenant_id, day, sessions, messages)
  select
    p_tenant_id,
    d.name::date,
    coalesce(sum(d.counted - d.was) filter (where d.figure = 'day sessions'), 0),
    coalesce(sum(d.counted - d.was) filter (where d.figure = 'day messages'), 0)
  from pg_temp.recount_differs d
  where d.figure like 'day %'
  group by d.name
  -- A refresh may have created the row meanwhile, from rows that were uncounted.
  on conflict (tenant_id, day) do update set
    sessions = s.sessions + excluded.sessions,
    messages = s.messages + excluded.messages;

  delete from robot_brain.tenant_stats t
  where t.tenant_id = p_tenant_id and t.sessions = 0 and t.messages = 0 and t.interactions = 0;
  delete from robot_brain.personality_stats p
  where p.tenant_id = p_tenant_id and p.messages = 0 and p.response_length = 0 and p.unanswered = 0;

  perform robot_brain.append_audit(
    p_tenant_id, 'tenant_stats', p_tenant_id, 'UPDATE', null,
    (
      select jsonb_build_object(
        'corrected', count(*),
        'sessions', coalesce(sum(d.counted - d.was) filter (where d.figure = 'sessions'), 0),
        'messages', coalesce(sum(d.counted - d.was) filter (where d.figure = 'messages'), 0),
        'interactions', coalesce(sum(d.counted - d.was) filter (where d.figure = 'interactions'), 0)
      )
      from pg_temp.recount_differs d
    ),
    session_user, null
  );
end
$$;
