-- Step of find_turns. Read the next words before a place one by one, newest first, and return those that match. So a common
-- word is found at once.
--   p_from, p_to            only turns of this time, which is in one month
--   p_time, p_session, p_seq   the place
--   p_query                 the query with its filters. p_ranked: its words, if each match gets a score
--   times, sessions, seqs, scores   the matches, newest first
--   low_time, low_session, low_seq  the last place that was read; the beginning of the time if that is shorter
--   turns_read              the number of words that were read
set local role robot_brain_search;

create or replace function robot_brain.match_newest(
  p_tenant_id text,
  p_query tsquery,
  p_ranked tsquery,
  p_user_id text,
  p_from timestamptz,
  p_to timestamptz,
  p_time timestamptz,
  p_session text,
  p_seq integer,
  out times timestamptz[],
  out sessions text[],
  out seqs integer[],
  out scores real[],
  out low_time timestamptz,
  out low_session text,
  out low_seq integer,
  out turns_read integer
)
language plpgsql
stable
as $$
declare
  c_most constant integer := 300;
begin
  with words as materialized (
    select w.created_at, w.session_id, w.seq, w.words @@ p_query as matches,
      case when p_ranked is not null and w.words @@ p_query then ts_rank_cd('{1,1,1,1}', w.words, p_ranked) end as score
    from robot_brain.turn_words w
    where w.tenant_id = p_tenant_id
      and w.created_at >= p_from
      and w.created_at < p_to
      and (w.created_at, w.session_id, w.seq) < (p_time, p_session, p_seq)
    order by w.created_at desc, w.session_id desc, w.seq desc
    limit c_most
  ),
  hits as (
    select w.*
    from words w
    cross join lateral (
      select s.erasing_at, s.user_id
      from robot_brain.sessions s
      where s.tenant_id = p_tenant_id and s.id = w.session_id collate "default"
      -- Without this, and without statistics, the planner would look through all sessions of the tenant.
      offset 0
    ) s
    where w.matches and s.erasing_at is null and (p_user_id is null or s.user_id = p_user_id)
  ),
  lowest as (
    select w.created_at, w.session_id, w.seq from words w order by w.created_at, w.session_id, w.seq limit 1
  )
  select
    (select count(*) from words), l.created_at, l.session_id, l.seq,
    array(select h.created_at from hits h order by h.created_at desc, h.session_id desc, h.seq desc),
    array(select h.session_id from hits h order by h.created_at desc, h.session_id desc, h.seq desc),
    array(select h.seq from hits h order by h.created_at desc, h.session_id desc, h.seq desc),
    array(select h.score from hits h order by h.created_at desc, h.session_id desc, h.seq desc)
  into turns_read, low_time, low_session, low_seq, times, sessions, seqs, scores
  from (values (1)) one (n)
  left join lowest l on true;
  if turns_read < c_most then
    low_time := p_from;
    low_session := '';
    low_seq := 0;
  end if;
end
$$;
