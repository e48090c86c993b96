-- Step of find_turns. Add the queued turns of a part that match to the part. It looks at 100 of them, or at
-- fewer if their texts are long: with more, the part ends at the last of these.
--   p_part                  what match_part has found
--   p_queue, p_next         the queued turns, newest first, and the first of them that was not looked at
--   the others              as for match_queued
--   times, sessions, seqs, scores, low_time, low_session, low_seq   those of the part
--   next                    the first of the queued turns after the part
set local role robot_brain_search;

create or replace function robot_brain.add_queued(
  p_part record,
  p_queue record,
  p_next integer,
  p_tenant_id text,
  p_query tsquery,
  p_ranked tsquery,
  p_user_id text,
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
  c_most constant integer := 100;
  c_bytes constant integer := 100000;
  v_times constant timestamptz[] := p_queue.times[p_next:p_next + c_most - 1];
  v_sessions constant text[] := p_queue.sessions[p_next:p_next + c_most - 1];
  v_seqs constant integer[] := p_queue.seqs[p_next:p_next + c_most - 1];
  v_upto integer;
  v_is_cut boolean;
  v_found record;
begin
  low_time := p_part.low_time;
  low_session := p_part.low_session;
  low_seq := p_part.low_seq;
  select count(*) filter (where q.fits), count(*) filter (where not q.fits) > 0
  into v_upto, v_is_cut
  from (
    select q.n = 1 or sum(q.size) over (order by q.n) <= c_bytes as fits
    from unnest(
      v_times, v_sessions, v_seqs, p_queue.sizes[p_next:p_next + c_most - 1]
    ) with ordinality q (t, s, seq, size, n)
    where (q.t, q.s collate "C", q.seq) >= (low_time, low_session, low_seq)
  ) q;
  if v_is_cut or v_upto = c_most then
    low_time := v_times[v_upto];
    low_session := v_sessions[v_upto];
    low_seq := v_seqs[v_upto];
  end if;
  v_found := robot_brain.match_queued(
    p_tenant_id, p_query, p_ranked, p_user_id, v_times[:v_upto], v_sessions[:v_upto], v_seqs[:v_upto],
    p_part.times, p_part.sessions, p_part.seqs, p_part.scores, low_time, low_session, low_seq, p_most
  );
  times := v_found.times;
  sessions := v_found.sessions;
  seqs := v_found.seqs;
  scores := v_found.scores;
  next := p_next + v_upto;
end
$$;
