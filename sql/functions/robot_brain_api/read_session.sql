-- Return a page of a session's turns, oldest first, as the answer's body.
--   p_limit           1 to 200 turns
--   p_before          return the newest turns below this seq
--   p_after           return the oldest turns above this seq; if both cursors are null, return the newest turns
--   p_max_chars       for the newest turns only: return as many whole turns as fit, at least one
--   p_as_user         the end user of the request, or null for a caller that sees all
--   p_known_etags     the entity tags of the client's copies ('"7.1f"', or '*'); body is null if one is still current
-- etag is null if the session is unknown. A page may have fewer turns than p_limit, because Lambda passes on at
-- most 6 MB. The cursors of the page continue at its end.
-- Each statement sees its own state, so a change may come between them. The version shows it, and the page is read again.
-- One snapshot for all statements would not do: a read waits while a month is made. Afterwards that snapshot would see
-- the moved turns in neither partition. Raises 40001 after ten changes in a row; then the caller retries the call.
set local role robot_brain_owner;

drop function if exists robot_brain_api.read_session;

create or replace function robot_brain_api.read_session(
  p_tenant_id text,
  p_session_id text,
  p_limit integer default 50,
  p_before bigint default null,
  p_after bigint default null,
  p_max_chars bigint default null,
  p_known_etags text[] default '{}',
  p_as_user text default null,
  p_schema_version integer default null,
  out body text,
  out etag text
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  -- Lambda's limit is 6,291,556 bytes. The rest is more than the session's own metadata and the envelope need.
  c_answer_bytes constant integer := 5500000;
  v_limit constant integer := least(greatest(p_limit, 1), 200);
  v_session robot_brain.sessions;
  v_last_seq integer;
  v_first bigint;
  v_last bigint;
  v_end bigint;
  v_messages json;
  v_version bigint;
  v_set text;
begin
  if p_schema_version > robot_brain.served_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  perform set_config('robot_brain.tenant_id', p_tenant_id, true);

  -- A cached plan may have been made while the table was small (see write_message).
  v_set := set_config('enable_seqscan', 'off', true);
  for v_try in 1..10 loop
    select s.* into v_session
    from robot_brain.sessions s
    where s.tenant_id = p_tenant_id and s.id = p_session_id and robot_brain.is_visible(s.user_id, p_as_user);
    if not found or v_session.erasing_at is not null then
      etag := null;
      return;
    end if;

    v_last_seq := v_session.message_count + v_session.removed;
    etag := robot_brain.etag(v_last_seq, v_session.version);
    if etag = any (p_known_etags) or '*' = any (p_known_etags) then
      return;
    end if;

    -- A plan made for these bounds opens only the months in which the session was active. A generic plan opens and locks
    -- all months. PL/pgSQL would make one at the sixth call, which then takes as long as fifteen other calls.
    v_set := set_config('plan_cache_mode', 'force_custom_plan', true);

    -- If no turn was removed, seq has no gaps, and a page is a range of seqs. Otherwise find its ends.
    if v_session.removed > 0 then
      select e.first, e.last into v_first, v_last
      from robot_brain.page_ends(
        v_session, coalesce(p_after + 1, 1), least(p_before - 1, v_last_seq), p_after is null, v_limit
      ) e;
    elsif p_after is null then
      v_last := least(p_before - 1, v_last_seq);
      v_first := greatest(v_last - v_limit + 1, 1);
    else
      v_first := p_after + 1;
      v_last := least(p_after + v_limit, v_last_seq);
    end if;

    -- Measure the answer first, but only if p_max_chars limits it, or for the few sessions that may be too long.
    if v_session.answer_bytes > c_answer_bytes or p_max_chars is not null then
      v_end := robot_brain.fitting_turns(v_session, v_first, v_last, p_after is null, p_max_chars, c_answer_bytes);
      v_first := case when p_after is null then v_end else v_first end;
      v_last := case when p_after is null then v_last else v_end end;
    end if;

    select json_agg(
      case
        when c.items is null and c.updated_at is null then json_build_object(
          'id', c.id,
          'seq', c.seq,
          'robot_personality', c.robot_personality,
          'user_message', c.user_message,
          'robot_response', c.robot_response,
          'metadata', c.metadata,
          'created_at', robot_brain.iso_time(c.created_at)
        )
        else robot_brain.turn_json(c)
      end
      order by c.seq
    )
    into v_messages
    from robot_brain.conversations c
    where c.tenant_id = p_tenant_id
      and c.session_id = p_session_id
      and c.created_at between v_session.created_at and v_session.last_active
      and c.seq between v_first and v_last;

    v_set := set_config('plan_cache_mode', 'auto', true);
    select s.version into v_version
    from robot_brain.sessions s
    where s.tenant_id = p_tenant_id and s.id = p_session_id and s.erasing_at is null;
    exit when v_version = v_session.version;
    if v_try = 10 then
      raise serialization_failure using message = 'the session changed ten times while it was read';
    end if;
  end loop;

  body := json_build_object(
    'session', robot_brain.session_json(v_session),
    'messages', coalesce(v_messages, '[]'),
    'page', json_build_object(
      'before', case when v_messages is not null and v_first > v_session.first_seq then v_first end,
      'after', case when v_messages is not null then v_last else p_after end
    )
  );
end
$$;

grant execute on function robot_brain_api.read_session to robot_brain_app;
