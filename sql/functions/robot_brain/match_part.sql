-- Step of find_turns. Return the matches of the next part before a place. A part is one of these:
-- 1. The newest 300 words of a month, one by one, up to 5 times. Without many matches there, the index is faster.
-- 2. Some days of a month by the index. It is as many as the last part was fast, aimed at 15 ms.
-- 3. Whole months by the index, if the last part was so fast.
--   p_from, p_to            only turns of this time, which is in one month
--   p_time, p_session, p_seq   the place
--   p_most                  the index returns the newest p_most matches
--   p_read, p_step          parts_read and next_step of the part before; p_read is null if only the index shall be read
--   p_months                this month and those before it that may be read in one statement, or empty
--   p_floor, p_until        of these months: only turns of this time on, and no month is begun after this moment
--   times, sessions, seqs, scores   the matches, newest first
--   low_time, low_session, low_seq  the place at which the part ends
--   parts_read              the number of parts that were read one by one, or null
--   next_step               the length of the next part by the index
set local role robot_brain_search;

create or replace function robot_brain.match_part(
  p_tenant_id text,
  p_query tsquery,
  p_filters tsquery,
  p_ranked tsquery,
  p_user_id text,
  p_from timestamptz,
  p_to timestamptz,
  p_time timestamptz,
  p_session text,
  p_seq integer,
  p_most integer,
  p_read integer,
  p_step interval,
  p_months timestamptz[],
  p_floor timestamptz,
  p_until timestamptz,
  out times timestamptz[],
  out sessions text[],
  out seqs integer[],
  out scores real[],
  out low_time timestamptz,
  out low_session text,
  out low_seq integer,
  out parts_read integer,
  out next_step interval
)
language plpgsql
stable
as $$
declare
  c_parts constant integer := 5;
  v_started constant timestamptz := clock_timestamp();
  v_days tsquery;
  v_found record;
begin
  parts_read := p_read;
  next_step := p_step;
  if p_read < c_parts then
    v_found := robot_brain.match_newest(
      p_tenant_id, p_query, p_ranked, p_user_id, p_from, p_to, p_time, p_session, p_seq
    );
    parts_read := case when cardinality(v_found.times) * c_parts < p_most then c_parts else p_read + 1 end;
  elsif p_step > interval '31 days' and cardinality(p_months) > 0 then
    v_found := robot_brain.match_months(
      p_tenant_id, p_query, p_filters, p_ranked, p_user_id, p_months, p_floor, p_time, p_session, p_seq, p_most, p_until
    );
  else
    -- Whole days, and no short rest at the month's beginning.
    low_time := date_trunc('day', p_time - p_step);
    low_time := case when low_time <= p_from + interval '1 day' then p_from else low_time end;
    v_days := robot_brain.days_query(low_time, least(p_time + interval '1 microsecond', p_to));
    v_found := robot_brain.match_indexed(
      p_tenant_id, coalesce(p_query && v_days, p_query), p_ranked, p_user_id, low_time, p_to, p_time, p_session, p_seq,
      p_most
    );
    next_step := p_step * least(6, greatest(
      0.3, 15 / greatest(extract(epoch from clock_timestamp() - v_started) * 1000, 0.1)
    ));
    next_step := least(greatest(next_step, interval '1 day'), interval '60 days');
  end if;
  low_time := v_found.low_time;
  low_session := v_found.low_session;
  low_seq := v_found.low_seq;
  times := v_found.times;
  sessions := v_found.sessions;
  seqs := v_found.seqs;
  scores := v_found.scores;
end
$$;
