-- Return the answer of an earlier attempt of this write, unchanged, or null if no attempt wrote these turns. We search
-- the session's last 20,000 turns for the id of the first turn. We do not search by time, because the clock may jump
-- between two attempts. The turns of a write have consecutive seqs and the same created_at.
-- Raises RB409 if some of the turns were removed since, because their ids are lost. Raises 40001 if the session was
-- changed ten times meanwhile. No row is locked, so a retry waits for no other writer of the session.
--   p_as_user   the end user who writes, or null for a caller that sees all. The session may have another user since.
set local role robot_brain_owner;

drop function if exists robot_brain.answer_of;

create or replace function robot_brain.answer_of(
  p_tenant_id text, p_session_id text, p_first_id uuid, p_turns integer, p_as_user text default null
)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
-- A generic plan would open and lock all months.
set plan_cache_mode = force_custom_plan
as $$
declare
  v_session robot_brain.sessions;
  v_seq integer;
  v_at timestamptz;
  v_count integer;
  v_written json;
begin
  for v_try in 1..10 loop
    select s.* into v_session
    from robot_brain.sessions s
    where s.tenant_id = p_tenant_id and s.id = p_session_id and robot_brain.is_visible(s.user_id, p_as_user);

    select c.seq, c.created_at
    into v_seq, v_at
    from robot_brain.conversations c
    where c.tenant_id = p_tenant_id
      and c.session_id = p_session_id
      and c.created_at between v_session.created_at and v_session.last_active
      and c.seq > v_session.message_count + v_session.removed - 20000
      and c.id = p_first_id
    order by c.seq desc
    limit 1;
    if not found then
      return null;
    end if;

    -- A removal takes the newest turns. So the turns before this write are still those that were there when it was
    -- written.
    select
      v_session.message_count - count(*) + p_turns,
      json_agg(
        json_build_object('id', c.id, 'seq', c.seq, 'created_at', robot_brain.iso_time(c.created_at)) order by c.seq
      ) filter (where c.created_at = v_at and c.seq < v_seq + p_turns)
    into v_count, v_written
    from robot_brain.conversations c
    where c.tenant_id = p_tenant_id
      and c.session_id = p_session_id
      and c.created_at between v_session.created_at and v_session.last_active
      and c.seq between v_seq and v_session.message_count + v_session.removed;

    -- If the session was changed between these statements, begin again.
    exit when exists (
      select from robot_brain.sessions s
      where s.tenant_id = p_tenant_id and s.id = p_session_id and s.version = v_session.version
    );
    if v_try = 10 then
      raise serialization_failure using message = 'the session changed ten times while a retry looked for its turns';
    end if;
  end loop;

  if v_written is null or json_array_length(v_written) < p_turns then
    raise exception using
      errcode = 'RB409',
      message = 'an earlier attempt has written the turns, and some of them were removed since',
      hint = 'Read the session before you try again.';
  end if;
  return json_build_object(
    'session_id', p_session_id, 'message_count', v_count, 'last_seq', v_seq + p_turns - 1, 'messages', v_written
  );
end
$$;
