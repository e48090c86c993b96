-- Step of export_user. Returns the oldest turns of a session above a seq, each as text of a JSON object, with their
-- interactions. The caller has read the session, and reads it again afterwards.
--   p_most       at most so many turns
--   p_bytes      at most so many bytes of the answer, as Lambda escapes it
--   p_first      the page has no turn yet. Then it gets one, whatever its size.
--   turns        null if there is no turn, or no room for one
--   last         the seq of the last of them; p_after without a turn
--   bytes        a bound for their bytes
--   has_more     there is another turn
set local role robot_brain_owner;

create or replace function robot_brain.export_turns(
  p_session robot_brain.sessions,
  p_after bigint,
  p_most integer,
  p_bytes bigint,
  p_first boolean,
  out turns text[],
  out last bigint,
  out bytes bigint,
  out has_more boolean
)
language plpgsql
as $$
declare
  v_turn record;
begin
  last := p_after;
  bytes := 0;
  has_more := false;
  -- The range of created_at is repeated, because the planner derives none from the equality, and would open all months.
  -- The limit makes it look each interaction up. Without statistics it may read all those of the session for each turn.
  -- The sizes first, because PostgreSQL knows the size of a long text without reading it. The loop is one scan, which
  -- ends as soon as the page is full.
  for v_turn in
    select
      c.seq,
      row_number() over (order by c.seq) as n,
      300 + robot_brain.turn_bytes(c.robot_personality, c.user_message, c.robot_response, c.metadata, c.items)
        + coalesce(400 + 2 * octet_length(i.metadata::text), 0) as bytes
    from robot_brain.conversations c
    left join lateral (
      select m.*
      from robot_brain.robot_interactions m
      where m.tenant_id = p_session.tenant_id
        and m.session_id = p_session.id
        and m.seq = c.seq
        and m.created_at = c.created_at
        and m.created_at between p_session.created_at and p_session.last_active
      limit 1
    ) i on true
    where c.tenant_id = p_session.tenant_id
      and c.session_id = p_session.id
      and c.created_at between p_session.created_at and p_session.last_active
      and c.seq > p_after
    order by c.seq
    limit p_most + 1
  loop
    has_more := v_turn.n > p_most or (bytes + v_turn.bytes > p_bytes and not (p_first and v_turn.n = 1));
    exit when has_more;
    bytes := bytes + v_turn.bytes;
    last := v_turn.seq;
  end loop;
  if last = p_after then
    return;
  end if;

  turns := array(
    select
      left(robot_brain.turn_json(c)::text, -1) || ', "session_id" : ' || to_json(c.session_id)::text
      || case when i.id is null then '' else ', "interaction" : ' || json_build_object(
        'robot_id', i.robot_id,
        'interaction_type', i.interaction_type,
        'duration_ms', i.duration_ms,
        'success', i.success,
        'metadata', i.metadata
      )::text end || '}'
    from robot_brain.conversations c
    left join lateral (
      select m.*
      from robot_brain.robot_interactions m
      where m.tenant_id = p_session.tenant_id
        and m.session_id = p_session.id
        and m.seq = c.seq
        and m.created_at = c.created_at
        and m.created_at between p_session.created_at and p_session.last_active
      limit 1
    ) i on true
    where c.tenant_id = p_session.tenant_id
      and c.session_id = p_session.id
      and c.created_at between p_session.created_at and p_session.last_active
      and c.seq > p_after
      and c.seq <= last
    order by c.seq
  );
end
$$;
