-- Step of fill_words. Make the words of the next turns in the newest month that is not filled. At its end the month is
-- filled, and the one before it is next. Returns the number of turns that the step read.
-- Turns of DEFAULT belong to their month, too. A row that exists is true, so it stays.
set local role robot_brain_search;

create or replace function robot_brain.fill_month(p_state robot_brain.search_state, p_turns integer, p_bytes integer)
returns integer
language plpgsql
as $$
declare
  v_month timestamptz;
  v_last record;
  v_turns integer;
  v_set text;
begin
  v_month := robot_brain.month_before(p_state.filled_from);
  if v_month is null then
    update robot_brain.search_state s
    set filled_from = '-infinity', place_tenant = null, place_session = null, place_seq = null
    where s.tenant_id = '*';
    return 0;
  end if;

  -- As many turns as have few enough bytes, at least one.
  select count(*) over (), t.tenant_id, t.session_id, t.seq
  into v_last
  from (
    select
      p.*,
      sum(p.bytes) over (order by p.tenant_id, p.session_id, p.seq) <= p_bytes
        or row_number() over (order by p.tenant_id, p.session_id, p.seq) = 1 as fits
    from (
      select
        c.tenant_id, c.session_id, c.seq,
        least(octet_length(c.user_message), 65536) + least(octet_length(c.robot_response), 65536) as bytes
      from robot_brain.conversations c
      where c.created_at >= v_month
        and c.created_at < v_month + interval '1 month'
        and (p_state.place_seq is null
          or (c.tenant_id, c.session_id, c.seq) > (p_state.place_tenant, p_state.place_session, p_state.place_seq))
      order by c.tenant_id, c.session_id, c.seq
      limit p_turns
    ) p
  ) t
  where t.fits
  order by t.tenant_id desc, t.session_id desc, t.seq desc
  limit 1;
  if not found then
    update robot_brain.search_state s
    set filled_from = v_month, place_tenant = null, place_session = null, place_seq = null
    where s.tenant_id = '*';
    return 0;
  end if;
  v_turns := v_last.count;

  perform robot_brain.add_words_month(v_month);
  insert into robot_brain.turn_words (tenant_id, session_id, seq, created_at, words)
  select
    c.tenant_id, c.session_id, c.seq, c.created_at,
    robot_brain.words_of(
      c.tenant_id, c.session_id, c.created_at, c.robot_personality, c.user_message, c.robot_response, c.metadata
    )
  from robot_brain.conversations c
  where c.created_at >= v_month
    and c.created_at < v_month + interval '1 month'
    and (p_state.place_seq is null
      or (c.tenant_id, c.session_id, c.seq) > (p_state.place_tenant, p_state.place_session, p_state.place_seq))
    and (c.tenant_id, c.session_id, c.seq) <= (v_last.tenant_id, v_last.session_id, v_last.seq)
    -- A turn that has words costs only this look.
    and not exists (
      select from robot_brain.turn_words w
      where w.tenant_id = c.tenant_id
        and w.created_at = c.created_at
        and w.session_id = c.session_id
        and w.seq = c.seq
        and w.created_at >= v_month
        and w.created_at < v_month + interval '1 month'
    )
  on conflict do nothing;
  perform robot_brain.merge_words(v_month);

  update robot_brain.search_state s
  set place_tenant = v_last.tenant_id, place_session = v_last.session_id, place_seq = v_last.seq
  where s.tenant_id = '*';
  return v_turns;
end
$$;
