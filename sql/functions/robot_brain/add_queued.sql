-- Step of find_turns. Add those of the queued turns that match to the matches of a part (match_part). At most 100 queued
-- turns are looked at: with more, the part ends at the last of them.
--   p_queue, p_next   the queued turns of the tenant (queued_turns), and the first of them that was not looked at
--   p_part            the part
--   times, sessions, seqs, scores   the newest p_most matches of both, newest first
--   low_time, low_session, low_seq  the place at which the part ends now
--   next              the first queued turn after the part
set local role robot_brain_search;

create or replace function robot_brain.add_queued(
  p_tenant_id text,
  p_query tsquery,
  p_ranked tsquery,
  p_user_id text,
  p_queue record,
  p_next integer,
  p_part record,
  p_most integer,
  out times timestamptz[],
  out sessions text[],
  out seqs integer[],
  out scores real[],
  out low_time timestamptz,
  out low_session text,
  out low_seq integer,
  out next integer
)
language plpgsql
stable
as $$
declare
  v_upto integer;
  v_merged record;
begin
  low_time := p_part.low_time;
  low_session := p_part.low_session;
  low_seq := p_part.low_seq;
  v_upto := robot_brain.queued_upto(
    p_queue.times, p_queue.sessions, p_queue.seqs, p_next, low_time, low_session, low_seq
  );
  if v_upto = p_next + 99 then
    low_time := p_queue.times[v_upto];
    low_session := p_queue.sessions[v_upto];
    low_seq := p_queue.seqs[v_upto];
  end if;
  v_merged := robot_brain.match_queued(
    p_tenant_id, p_query, p_ranked, p_user_id,
    p_queue.times[p_next:v_upto], p_queue.sessions[p_next:v_upto], p_queue.seqs[p_next:v_upto],
    p_part.times, p_part.sessions, p_part.seqs, p_part.scores, low_time, low_session, low_seq, p_most
  );
  times := v_merged.times;
  sessions := v_merged.sessions;
  seqs := v_merged.seqs;
  scores := v_merged.scores;
  next := v_upto + 1;
end
$$;
