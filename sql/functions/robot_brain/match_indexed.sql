-- Step of find_turns. Return the newest p_most matches before a place, found by the index of the words.
-- The parameters are those of match_newest. The time is in one month, and p_query has its days if it is a part of one.
-- The collation of sessions.id is the default one, so only with this collation its index serves.
-- The tenant is a lexeme of p_query. The condition on tenant_id is an expression, so that the planner does not read all
-- turns of the tenant by the primary key. It knows too little of a query to compare the two.
set local role robot_brain_search;

create or replace function robot_brain.match_indexed(
  p_tenant_id text,
  p_query tsquery,
  p_ranked tsquery,
  p_user_id text,
  p_from timestamptz,
  p_to timestamptz,
  p_time timestamptz,
  p_session text,
  p_seq integer,
  p_most integer,
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
as $$
begin
  with matching as materialized (
    select w.created_at, w.session_id, w.seq, case when p_ranked is not null then w.words end as words
    from robot_brain.turn_words w
    where w.words @@ p_query
      and w.tenant_id || '' = p_tenant_id
      and w.created_at >= p_from
      and w.created_at < p_to
      and (w.created_at, w.session_id, w.seq) < (p_time, p_session, p_seq)
    order by w.created_at desc, w.session_id desc, w.seq desc
  ),
  hits as (
    select m.*
    from matching m
    -- One session at a time, and only until there are enough turns.
    cross join lateral (
      select s.erasing_at, s.user_id
      from robot_brain.sessions s
      where s.tenant_id = p_tenant_id and s.id = m.session_id collate "default"
      -- Without this, and without statistics, the planner would look through all sessions of the tenant.
      offset 0
    ) s
    where s.erasing_at is null and (p_user_id is null or s.user_id = p_user_id)
    limit p_most
  )
  select
    array_agg(h.created_at), array_agg(h.session_id), array_agg(h.seq),
    array_agg(case when p_ranked is not null then ts_rank_cd('{1,1,1,1}', h.words, p_ranked) end)
  into times, sessions, seqs, scores
  from hits h;
  low_time := p_from;
  low_session := '';
  low_seq := 0;
end
$$;
