-- Step of remove_turns and of an erasure. Deletes the turns of a session between two seqs, their words, their
-- interactions, and their part of the statistics. The day of a turn keeps it, because days are history.
-- The steps run with the settings of the function of robot_brain_api that calls them.
--   removed           the turns that were deleted
--   response_length   the code points of their robot_response
--   unanswered        how many of them had an empty robot_response
--   answer_bytes      at most what they added to the session's answer_bytes. Metadata and items are left out, because
--                     their size is known only after they are read.
set local role robot_brain_owner;

create or replace function robot_brain.remove_rows(
  p_session robot_brain.sessions,
  p_from integer,
  p_to integer,
  out removed integer,
  out response_length bigint,
  out unanswered integer,
  out answer_bytes bigint
)
language plpgsql
as $$
declare
  v_seqs integer[];
  v_times timestamptz[];
begin
  with gone as (
    delete from robot_brain.conversations c
    where c.tenant_id = p_session.tenant_id
      and c.session_id = p_session.id
      and c.created_at between p_session.created_at and p_session.last_active
      and c.seq between p_from and p_to
    returning
      c.seq,
      c.created_at,
      c.robot_personality,
      length(c.robot_response) as length,
      robot_brain.turn_bytes(c.robot_personality, c.user_message, c.robot_response, null, null) as bytes
  ),
  talked as (
    delete from robot_brain.robot_interactions i
    where i.tenant_id = p_session.tenant_id
      and i.session_id = p_session.id
      and i.created_at between p_session.created_at and p_session.last_active
      and i.seq between p_from and p_to
    returning i.seq
  ),
  counted as (
    insert into robot_brain.uncounted (
      tenant_id, day, robot_personality, messages, response_length, unanswered, sessions, opened, interactions
    )
    select
      p_session.tenant_id, null::date, g.robot_personality, -count(*), -sum(g.length),
      -count(*) filter (where g.length = 0), 0, 0, 0
    from gone g
    group by g.robot_personality
    union all
    -- A row without a personality, because interactions count in the totals only.
    select p_session.tenant_id, null, '', 0, 0, 0, 0, 0, -count(*) from talked t having count(*) > 0
  )
  select
    count(*), coalesce(sum(g.length), 0), count(*) filter (where g.length = 0), coalesce(sum(g.bytes), 0),
    coalesce(array_agg(g.seq), '{}'), array_agg(g.created_at)
  into removed, response_length, unanswered, answer_bytes, v_seqs, v_times
  from gone g;
  perform robot_brain.forget_words(p_session.tenant_id, p_session.id, v_seqs, v_times, false);
end
$$;
