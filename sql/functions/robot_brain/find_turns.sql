-- Step of search. Find turns of a tenant, newest first, from a place on. No call is slow: after p_budget milliseconds it
-- returns what it has found, and the place at which the next call goes on.
--   p_query, p_filters      the words, and the lexemes of the tenant and the other filters
--   p_session_id, p_user_id only turns of this session, or of this user's sessions; or null
--   p_from, p_to            only turns of this time, without p_to itself
--   p_time, p_session, p_seq   only turns before this place, or nulls
--   times, sessions, seqs, scores   up to p_most turns. A score is null unless p_is_ranked
--   low_time, low_session, low_seq  all turns from here on were looked at
--   has_ended               all turns were looked at, of those that have words or are queued
--   is_filled               all turns of the time have words or are queued
--   is_behind               so many turns of the tenant are queued that each search takes longer
-- 1. The months are read in parts (match_part): the newest words one by one, older ones by the index.
-- 2. In each part the turns are added whose words are missing (add_queued).
-- The function is stable: one snapshot for all statements, so a turn that is edited or filled meanwhile is in just one of
-- the places. The caller keeps months of turns from being made meanwhile, because that moves turns.
-- The time zone is UTC, because the steps reckon with months and days. Another client of the pooler may have set
-- gin_fuzzy_search_limit. Then the index would leave out matches at random.
set local role robot_brain_search;

create or replace function robot_brain.find_turns(
  p_tenant_id text,
  p_query tsquery,
  p_filters tsquery,
  p_session_id text,
  p_user_id text,
  p_from timestamptz,
  p_to timestamptz,
  p_time timestamptz,
  p_session text,
  p_seq integer,
  p_most integer,
  p_is_ranked boolean,
  p_budget integer,
  out times timestamptz[],
  out sessions text[],
  out seqs integer[],
  out scores real[],
  out low_time timestamptz,
  out low_session text,
  out low_seq integer,
  out has_ended boolean,
  out is_filled boolean,
  out is_behind boolean
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set timezone = 'UTC'
set enable_seqscan = off
-- PostgreSQL up to 17 would compile a plan with such a scan, which takes 100 ms.
set jit = off
set enable_hashjoin = off
set enable_mergejoin = off
set gin_fuzzy_search_limit = 0
set work_mem = '16MB'
-- Each plan reads one month only.
set plan_cache_mode = force_custom_plan
as $$
declare
  v_until timestamptz;  -- null before the first part
  v_filtered constant tsquery := p_filters && p_query;
  v_ranked constant tsquery := case when p_is_ranked then robot_brain.bounded_query(p_query) end;
  -- A restore of some tables may have left its row out. Then no turn is known to have words.
  v_filled_from constant timestamptz := coalesce(
    (select s.filled_from from robot_brain.search_state s where s.tenant_id = '*'), 'infinity'
  );
  -- How many parts were read one by one. Null: none shall be, because the index finds those of a session or a user at once.
  v_read integer := case when p_session_id is null and p_user_id is null then 0 end;
  v_step interval := '1 day';
  v_queue record;
  v_next integer;  -- the first of the queued turns that was not looked at
  v_months timestamptz[];
  v_month timestamptz;
  v_part record;
  v_is_stopped boolean := false;
begin
  -- A session has turns from its beginning to its last one.
  if p_session_id is not null then
    select greatest(p_from, s.created_at), least(p_to, s.last_active + interval '1 microsecond')
    into p_from, p_to
    from robot_brain.sessions s
    where s.tenant_id = p_tenant_id and s.id = p_session_id;
    p_to := coalesce(p_to, '-infinity');
  end if;
  select '{}', '{}', '{}', '{}' into times, sessions, seqs, scores;
  select coalesce(p_time, p_to), coalesce(p_session, ''), coalesce(p_seq, 0) into low_time, low_session, low_seq;
  v_queue := robot_brain.queued_turns(p_tenant_id, p_session_id, p_from, p_to, low_time, low_session, low_seq);
  is_behind := cardinality(v_queue.times) > 100 or (select sum(s) from unnest(v_queue.sizes) s) > 200000;
  v_next := v_queue.next;
  is_filled := coalesce(v_filled_from <= p_from, true);  -- true: the session is unknown
  p_from := greatest(p_from, v_filled_from);
  v_months := array(select robot_brain.search_months(v_queue.times[v_next:], p_from, low_time + interval '1 microsecond'));
  <<months>>
  for n in 1 .. cardinality(v_months) loop
    v_month := v_months[n];
    if low_time > v_month + interval '1 month' then
      low_time := v_month + interval '1 month';
      low_session := '';
      low_seq := 0;
    end if;
    while (low_time, low_session collate "C") > (greatest(v_month, p_from), '') loop
      -- Stop only before another part, so that a search that has looked at all turns has ended.
      v_is_stopped := cardinality(times) >= p_most or coalesce(clock_timestamp() > v_until, false);
      exit months when v_is_stopped;
      v_part := robot_brain.match_part(
        p_tenant_id, v_filtered, p_filters, v_ranked, p_user_id, greatest(v_month, p_from), v_month + interval '1 month',
        low_time, low_session, low_seq, p_most - cardinality(times), v_read, v_step,
        robot_brain.months_alone(v_months, n, v_queue.times[v_next]), p_from, v_until
      );
      v_read := v_part.parts_read;
      v_step := v_part.next_step;
      -- The time begins after the first part. In a new connection that is slow, because each function is parsed first.
      v_until := coalesce(v_until, clock_timestamp() + p_budget * interval '1 millisecond');
      if v_queue.times[v_next] >= v_part.low_time then
        v_part := robot_brain.add_queued(
          v_part, v_queue, v_next, p_tenant_id, v_filtered, v_ranked, p_user_id, p_most - cardinality(times)
        );
        v_next := v_part.next;
      end if;
      low_time := v_part.low_time;
      low_session := v_part.low_session;
      low_seq := v_part.low_seq;
      times := (times || coalesce(v_part.times, '{}'))[:p_most];
      sessions := (sessions || coalesce(v_part.sessions, '{}'))[:p_most];
      seqs := (seqs || coalesce(v_part.seqs, '{}'))[:p_most];
      scores := (scores || coalesce(v_part.scores, '{}'))[:p_most];
    end loop;
  end loop;
  has_ended := not v_is_stopped;
end
$$;

grant execute on function robot_brain.find_turns to robot_brain_owner;
