-- Step of export_user. Returns the part of a session for a page: the session, if its turns begin here, and its turns
-- above a seq.
--   p_after, p_most, p_bytes, p_first   as for export_turns. A session that changes meanwhile gives fewer turns.
--   session    an array with the session as text of a JSON object. It is empty on a later page of the session, or if
--              the session is no longer the user's
--   turns      the turns, as export_turns returns them
--   last       the seq of the last turn of the part
--   bytes      a bound for the bytes of the part
--   has_more   there are turns after the part
--   is_full    the page has no room for the part
set local role robot_brain_owner;

create or replace function robot_brain.export_session(
  p_tenant_id text,
  p_user_id text,
  p_session_id text,
  p_after bigint,
  p_most integer,
  p_bytes bigint,
  p_first boolean,
  out session text[],
  out turns text[],
  out last bigint,
  out bytes bigint,
  out has_more boolean,
  out is_full boolean
)
language plpgsql
as $$
declare
  v_session robot_brain.sessions;
  v_head bigint;
begin
  for v_try in 1..10 loop
    session := '{}';
    turns := '{}';
    last := p_after;
    bytes := 0;
    has_more := false;
    is_full := false;
    select s.* into v_session
    from robot_brain.sessions s
    where s.tenant_id = p_tenant_id and s.id = p_session_id and s.user_id = p_user_id;
    if not found or v_session.erasing_at is not null then
      return;
    end if;

    if p_after = 0 then
      session := array[robot_brain.session_json(v_session)::text];
      v_head := 400 + 7 * octet_length(v_session.id || p_user_id) + 2 * octet_length(v_session.user_metadata::text);
    else
      v_head := 0;
    end if;
    is_full := not p_first and (v_head > p_bytes or p_most = 0);
    exit when is_full;
    select t.turns, t.last, v_head + t.bytes, t.has_more into turns, last, bytes, has_more
    -- Half as many turns with each try. The sooner a part is read, the fewer changes come meanwhile.
    from robot_brain.export_turns(
      v_session, p_after, greatest(p_most >> (v_try - 1), 1), p_bytes - v_head, p_first
    ) t;
    -- The part would have no turn, although there are some.
    is_full := has_more and turns is null;
    exit when exists (
      select from robot_brain.sessions s
      where s.tenant_id = p_tenant_id and s.id = p_session_id and s.version = v_session.version and s.erasing_at is null
    );
    if v_try = 10 then
      raise serialization_failure using message = 'the session changed ten times while it was read';
    end if;
  end loop;
end
$$;
