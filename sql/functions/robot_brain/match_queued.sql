-- Step of find_turns. Add those of some queued turns that match to the matches of a part, and return the newest p_most of
-- them, newest first. The words of the queued turns are made here, and not kept.
--   p_times, p_sessions, p_seqs   the queued turns, newest first, in one month
--   p_found_...                   the matches of the part, newest p_most or all, in no order
--   p_low_...                     the place at which the part ends: matches after it are left out
set local role robot_brain_search;

create or replace function robot_brain.match_queued(
  p_tenant_id text,
  p_query tsquery,
  p_ranked tsquery,
  p_user_id text,
  p_times timestamptz[],
  p_sessions text[],
  p_seqs integer[],
  p_found_times timestamptz[],
  p_found_sessions text[],
  p_found_seqs integer[],
  p_found_scores real[],
  p_low_time timestamptz,
  p_low_session text,
  p_low_seq integer,
  p_most integer,
  out times timestamptz[],
  out sessions text[],
  out seqs integer[],
  out scores real[]
)
language plpgsql
stable
as $$
declare
  v_from constant timestamptz := p_times[cardinality(p_times)];
  v_to constant timestamptz := p_times[1];
begin
  if cardinality(p_times) > 0 then
    select array_agg(h.created_at), array_agg(h.session_id), array_agg(h.seq),
      array_agg(case when p_ranked is not null then ts_rank_cd('{1,1,1,1}', h.words, p_ranked) end)
    into times, sessions, seqs, scores
    from (
      select
        c.created_at, c.session_id, c.seq,
        robot_brain.words_of(
          c.tenant_id, c.session_id, c.created_at, c.robot_personality, c.user_message, c.robot_response, c.metadata
        ) as words
      from unnest(p_times, p_sessions, p_seqs) q (created_at, session_id, seq)
      cross join lateral (
        select t.*
        from robot_brain.conversations t
        where t.tenant_id = p_tenant_id
          and t.session_id = q.session_id
          and t.seq = q.seq
          and t.created_at = q.created_at
          and t.created_at between v_from and v_to
        -- Without statistics, the planner would look through the queue for each turn of the month.
        offset 0
      ) c
      cross join lateral (
        select s.erasing_at, s.user_id from robot_brain.sessions s where s.tenant_id = p_tenant_id and s.id = c.session_id
        offset 0
      ) s
      where s.erasing_at is null and (p_user_id is null or s.user_id = p_user_id)
      -- The words are made once.
      offset 0
    ) h
    where h.words @@ p_query;
  end if;

  -- An edited turn may be filled by its month before its row of the queue is worked off. Then it is in both.
  select array_agg(h.t), array_agg(h.s), array_agg(h.q), array_agg(h.r)
  into times, sessions, seqs, scores
  from (
    select h.t, h.s collate "C" as s, h.q, max(h.r) as r
    from (
      select * from unnest(p_found_times, p_found_sessions, p_found_seqs, p_found_scores)
      union all
      select * from unnest(times, sessions, seqs, scores)
    ) h (t, s, q, r)
    where (h.t, h.s collate "C", h.q) >= (p_low_time, p_low_session, p_low_seq)
    group by 1, 2, 3
    order by 1 desc, 2 desc, 3 desc
    limit p_most
  ) h;
end
$$;
