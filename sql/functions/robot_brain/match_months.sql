-- Step of find_turns. Return the newest p_most matches before a place, found by the index of the words, in some months that
-- are read in one statement. This costs a fifth of a statement for each month. It is for words of which a month has few.
--   p_months                the beginnings of the months, newest first; the place is in the first month or after it
--   p_from                  only turns of this time on
--   p_until                 no month but the first is begun after this moment
--   p_filters               the lexemes of the tenant and the filters, which p_query has, too
--   the others              as for match_newest
--   times, sessions, seqs, scores   the matches, newest first
--   low_time, low_session, low_seq  the place at which the reading ended
-- The plan is kept, because it has all months. Each month is read only if the one before it did not suffice.
-- It may have been made while a month was empty, so it must not depend on sizes: for each month it uses the index of the
-- words. The cost of an entry keeps the planner off the primary key. The filters are a condition of their own, because the
-- planner expects 1 of 200 turns for each query that it does not know.
set local role robot_brain_search;

create or replace function robot_brain.match_months(
  p_tenant_id text,
  p_query tsquery,
  p_filters tsquery,
  p_ranked tsquery,
  p_user_id text,
  p_months timestamptz[],
  p_from timestamptz,
  p_time timestamptz,
  p_session text,
  p_seq integer,
  p_most integer,
  p_until timestamptz,
  out times timestamptz[],
  out sessions text[],
  out seqs integer[],
  out scores real[],
  out low_time timestamptz,
  out low_session text,
  out low_seq integer
)
language plpgsql
stable
set plan_cache_mode = force_generic_plan
set cpu_index_tuple_cost = 1000
as $$
declare
  v_month timestamptz;
begin
  select
    min(m.month) filter (where m.is_in_time),
    array_agg(m.created_at) filter (where m.seq is not null),
    array_agg(m.session_id) filter (where m.seq is not null),
    array_agg(m.seq) filter (where m.seq is not null),
    array_agg(case when p_ranked is not null then ts_rank_cd('{1,1,1,1}', m.words, p_ranked) end)
      filter (where m.seq is not null)
  into v_month, times, sessions, seqs, scores
  from (
    select m.month, t.is_in_time, h.*,
      -- With count(h.seq), PostgreSQL 15 and 16 would read all rows.
      count(*) filter (where h.seq is not null) over (rows unbounded preceding) as found
    from unnest(p_months) with ordinality m (month, n)
    cross join lateral (
      -- The first month is always read. The clock is read once before each other one.
      select m.n = 1 or clock_timestamp() < p_until as is_in_time
      offset 0
    ) t
    left join lateral (
      select w.*
      from (
        select w.created_at, w.session_id, w.seq, case when p_ranked is not null then w.words end as words
        from robot_brain.turn_words w
        where t.is_in_time
          and w.words @@ p_query
          and w.words @@ p_filters
          and w.tenant_id || '' = p_tenant_id
          and w.created_at >= m.month
          and w.created_at < m.month + interval '1 month'
          and w.created_at >= p_from
          and (w.created_at, w.session_id, w.seq) < (p_time, p_session, p_seq)
        order by w.created_at desc, w.session_id desc, w.seq desc
      ) w
      cross join lateral (
        select s.erasing_at, s.user_id
        from robot_brain.sessions s
        where s.tenant_id = p_tenant_id and s.id = w.session_id collate "default"
        offset 0
      ) s
      where s.erasing_at is null and (p_user_id is null or s.user_id = p_user_id)
    ) h on true
  ) m
  -- PostgreSQL reads no more rows than these. A month without a match is a row, too, which does not count.
  where m.found <= p_most;

  if cardinality(times) = p_most then
    low_time := times[p_most];
    low_session := sessions[p_most];
    low_seq := seqs[p_most];
  elsif v_month is not null then
    low_time := greatest(v_month, p_from);
    low_session := '';
    low_seq := 0;
  else
    low_time := p_time;
    low_session := p_session;
    low_seq := p_seq;
  end if;
end
$$;
