-- Step of write_message. Inserts the turns after p_last_seq, their interactions, and rows of `uncounted` for the
-- statistics and the search. Returns the answer's body.
--   p_first_id          the id of the first turn; if null, PostgreSQL makes one
--   p_message_count     the turns that exist, with this write
--   p_response_length, p_unanswered   the sums over all turns
--   p_opens_session, p_opens_day   1 if the write is the first of its session or day, otherwise 0
set local role robot_brain_owner;

drop function if exists robot_brain.insert_turns;

create or replace function robot_brain.insert_turns(
  p_tenant_id text,
  p_session_id text,
  p_messages jsonb,
  p_turns integer,
  p_first_id uuid,
  p_last_seq integer,
  p_message_count integer,
  p_written_at timestamptz,
  p_response_length bigint,
  p_unanswered integer,
  p_opens_session integer,
  p_opens_day integer
)
returns text
language plpgsql
as $$
declare
  v_interactions constant integer := jsonb_array_length(jsonb_path_query_array(p_messages, '$[*].interaction'));
  v_written_at constant text := robot_brain.iso_time(p_written_at);
  v_day constant date := (p_written_at at time zone interval '0')::date;
  -- null if the search is off; then no refresh queues the turns
  v_searched constant text := case when robot_brain.search_language() is not null then p_session_id end;
  v_body text;
begin
  with written as (
    insert into robot_brain.conversations (
      tenant_id,
      session_id,
      seq,
      created_at,
      id,
      robot_personality,
      user_message,
      robot_response,
      metadata,
      items
    )
    select
      p_tenant_id,
      p_session_id,
      p_last_seq + t.n::integer,
      p_written_at,
      coalesce(case when t.n = 1 then p_first_id end, gen_random_uuid()),
      t.m ->> 'robot_personality',
      t.m ->> 'user_message',
      t.m ->> 'robot_response',
      t.m -> 'metadata',
      t.m -> 'items'
    from jsonb_array_elements(p_messages) with ordinality t (m, n)
    returning id, seq
  )
  select
    json_build_object(
      'session_id', p_session_id,
      'message_count', p_message_count,
      'last_seq', p_last_seq + p_turns,
      -- In the order of the turns, because an insert writes and returns its rows one by one.
      'messages', json_agg(json_build_object('id', w.id, 'seq', w.seq, 'created_at', v_written_at))
    )::text
  into v_body
  from written w;

  -- Add a row per personality to `uncounted`. Most writes have one turn, for which the first form costs half as much.
  if p_turns = 1 then
    insert into robot_brain.uncounted (
      tenant_id, day, robot_personality, messages, response_length, unanswered, sessions, opened, interactions,
      session_id, from_seq, to_seq
    )
    values (
      p_tenant_id, v_day, p_messages #>> '{0,robot_personality}', 1, p_response_length, p_unanswered,
      p_opens_session, p_opens_day, v_interactions, v_searched, p_last_seq + 1, p_last_seq + 1
    );
  else
    insert into robot_brain.uncounted (
      tenant_id, day, robot_personality, messages, response_length, unanswered, sessions, opened, interactions,
      session_id, from_seq, to_seq
    )
    select
      p_tenant_id,
      v_day,
      t.m ->> 'robot_personality',
      count(*),
      sum(length(t.m ->> 'robot_response')),
      count(*) filter (where t.m ->> 'robot_response' = ''),
      -- Count the figures of the whole write with its first turn.
      case when min(t.n) = 1 then p_opens_session else 0 end,
      case when min(t.n) = 1 then p_opens_day else 0 end,
      case when min(t.n) = 1 then v_interactions else 0 end,
      case when min(t.n) = 1 then v_searched end,
      p_last_seq + 1,
      p_last_seq + p_turns
    from jsonb_array_elements(p_messages) with ordinality t (m, n)
    group by 3;
  end if;

  if v_interactions > 0 then
    insert into robot_brain.robot_interactions (
      tenant_id, session_id, seq, robot_id, interaction_type, duration_ms, success, metadata, created_at
    )
    select
      p_tenant_id,
      p_session_id,
      p_last_seq + t.n::integer,
      t.m #>> '{interaction,robot_id}',
      t.m #>> '{interaction,interaction_type}',
      (t.m #>> '{interaction,duration_ms}')::integer,
      (t.m #>> '{interaction,success}')::boolean,
      coalesce(t.m #> '{interaction,metadata}', '{}'),
      p_written_at
    from jsonb_array_elements(p_messages) with ordinality t (m, n)
    where t.m ? 'interaction';
  end if;
  return v_body;
end
$$;
