-- Step of make ops DO=refill-search. Compare the words of a month with its turns.
--   p_texts        make all words again and compare them, which takes as long as to fill the month
--   turns          the turns of the month
--   missing        turns without words that fill_words would never come to
--   newest_missing the newest of them
--   waiting        the other turns without words: queued, or older than filled_from
--   without_turn   words without a turn
--   differing      words of another text than the turn has, null without p_texts
-- One statement counts the turns, so each turn is counted as it was at one moment.
set local role robot_brain_search;

create or replace function robot_brain.refill_compare(
  p_month timestamptz,
  p_texts boolean,
  out turns bigint,
  out missing bigint,
  out newest_missing timestamptz,
  out waiting bigint,
  out without_turn bigint,
  out differing bigint
)
language plpgsql
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
declare
  v_to constant timestamptz := p_month + interval '1 month';
begin
  -- A month that is made meanwhile would move turns.
  lock table only robot_brain.conversations in access share mode;
  with state as (
    -- Without its row nothing says which turns will be filled.
    select
      coalesce(max(s.filled_from), '-infinity') as filled_from,
      coalesce(robot_brain.month_before(max(s.filled_from)) = p_month, false) as is_next,
      max(s.place_tenant) as tenant, max(s.place_session) as session, max(s.place_seq) as seq
    from robot_brain.search_state s
  ),
  queued as materialized (
    select distinct e.tenant_id, e.session_id, n as seq
    from (
      select u.tenant_id, u.session_id, u.from_seq, u.to_seq from robot_brain.uncounted u where u.session_id is not null
      union all
      select q.tenant_id, q.session_id, q.from_seq, q.to_seq from robot_brain.search_queue q
    ) e
    cross join lateral generate_series(e.from_seq, e.to_seq) n
  ),
  compared as (
    select
      c.created_at,
      w.seq is null as is_wanted,
      -- fill_month goes through a month in the order of its turns, up to the place.
      q.seq is null and (
        c.created_at >= s.filled_from
        or s.is_next and coalesce((c.tenant_id, c.session_id, c.seq) <= (s.tenant, s.session, s.seq), false)
      ) as is_lost,
      p_texts and w.words <> robot_brain.words_of(
        c.tenant_id, c.session_id, c.created_at, c.robot_personality, c.user_message, c.robot_response, c.metadata
      ) as is_other
    from robot_brain.conversations c
    cross join state s
    left join robot_brain.turn_words w
      on w.tenant_id = c.tenant_id and w.created_at = c.created_at and w.session_id = c.session_id and w.seq = c.seq
      and w.created_at >= p_month and w.created_at < v_to
    left join queued q on q.tenant_id = c.tenant_id and q.session_id = c.session_id and q.seq = c.seq
    where c.created_at >= p_month and c.created_at < v_to
  )
  select
    count(*),
    count(*) filter (where c.is_wanted and c.is_lost),
    max(c.created_at) filter (where c.is_wanted and c.is_lost),
    count(*) filter (where c.is_wanted and not c.is_lost),
    case when p_texts then count(*) filter (where c.is_other) end
  into turns, missing, newest_missing, waiting, differing
  from compared c;

  select count(*) into without_turn
  from robot_brain.turn_words w
  where w.created_at >= p_month and w.created_at < v_to
    and not exists (
      select from robot_brain.conversations c
      where c.tenant_id = w.tenant_id and c.session_id = w.session_id and c.seq = w.seq and c.created_at = w.created_at
        and c.created_at >= p_month and c.created_at < v_to
    );
end
$$;
