-- One step of the erasure of a session, whose row the caller has locked. Deletes up to 5,000 turns with all that belongs
-- to them, and the rest if no turn is left. Returns whether the session is gone. After a kill the next step goes on,
-- because each step deletes what is left.
--   p_forgets   forget_sessions, too; otherwise the caller does, for several sessions at once
-- The first step marks the session: from then on it is unknown to readers.
set local role robot_brain_owner;

drop function if exists robot_brain.erase_step;
create or replace function robot_brain.erase_step(p_session robot_brain.sessions, p_forgets boolean default true)
returns boolean
language plpgsql
as $$
declare
  -- Fewer turns if they are large: texts of at most about 15 MB.
  v_most constant integer := least(5000, greatest(
    50, 100000000 / greatest(p_session.answer_bytes / greatest(p_session.message_count, 1), 1)
  ));
  v_now constant timestamptz := clock_timestamp();
  v_hash constant bytea := sha256(convert_to(p_session.id, 'UTF8'));
  v_to integer;
  v_has_more boolean;
  v_gone record;
  v_emptied integer;
begin
  -- The rows decide, and not the session's count, which may be wrong after a restore of some rows.
  select max(t.seq) filter (where t.n <= v_most), count(*) > v_most into v_to, v_has_more
  from (
    select c.seq, row_number() over (order by c.seq) as n
    from robot_brain.conversations c
    where c.tenant_id = p_session.tenant_id
      and c.session_id = p_session.id
      and c.created_at between p_session.created_at and p_session.last_active
    order by c.seq
    limit v_most + 1
  ) t;
  v_gone := robot_brain.remove_rows(p_session, p_session.first_seq, v_to);

  -- Remembered answers are emptied. Their keys stay until they expire, so that a late write is not written again.
  if not v_has_more then
    update robot_brain.idempotency_keys k
    set response = '', fingerprint = '', session_id = null
    where k.tenant_id = p_session.tenant_id
      and k.key_hash in (
        select e.key_hash
        from robot_brain.idempotency_keys e
        where e.tenant_id = p_session.tenant_id and e.session_id = p_session.id
        limit 2500
      );
    get diagnostics v_emptied = row_count;
  end if;

  if v_emptied < 2500 then
    if p_forgets then
      perform robot_brain.forget_sessions(p_session.tenant_id, array[p_session.id]::text[]);
    end if;
    insert into robot_brain.uncounted (
      tenant_id, day, robot_personality, messages, response_length, sessions, opened, interactions
    )
    values (p_session.tenant_id, null, '', 0, 0, -1, 0, 0);
    insert into robot_brain.erasures as e (tenant_id, session_hash, begun_at, erased_at, repeated)
    values (p_session.tenant_id, v_hash, v_now, v_now, p_session.repeated)
    on conflict (tenant_id, session_hash) do update set
      session_id = null,
      erased_at = excluded.erased_at,
      repeated = (excluded.repeated || e.repeated)[1:16];
    delete from robot_brain.sessions s where s.tenant_id = p_session.tenant_id and s.id = p_session.id;
    return true;
  end if;

  if p_session.erasing_at is null then
    insert into robot_brain.erasures (tenant_id, session_hash, session_id, begun_at)
    values (p_session.tenant_id, v_hash, p_session.id, v_now)
    on conflict (tenant_id, session_hash) do update set session_id = excluded.session_id, begun_at = excluded.begun_at;
  end if;
  update robot_brain.sessions s
  set
    erasing_at = coalesce(s.erasing_at, v_now),
    user_metadata = '{}',
    -- user_id stays, because only its user may repeat the request.
    message_count = s.message_count - v_gone.removed,
    removed = s.removed + v_gone.removed,
    first_seq = coalesce(v_to + 1, s.first_seq),
    response_length = s.response_length - v_gone.response_length,
    unanswered = s.unanswered - v_gone.unanswered,
    answer_bytes = s.answer_bytes - v_gone.answer_bytes
  where s.tenant_id = p_session.tenant_id and s.id = p_session.id;
  return false;
end
$$;
