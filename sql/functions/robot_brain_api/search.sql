-- Find turns by words, and return a page as the answer's body.
--   p_query         words, "phrases", -not, or; only the first 1,000 signs count
--   p_limit         1 to 50 turns
--   p_cursor        the cursor of the page before, or null for the first page
--   p_session_id, p_user_id, p_personality, p_metadata, p_from, p_to   filters, or nulls. p_to itself is left out
--   p_in            user or robot: only this text of a turn; null for both
--   p_order         newest, or relevance: the best of the newest 2,000 turns that match. If the time is spent before, the best
--                   of those that were found, and then of the others
--   p_prefix        the last word is the beginning of a word
--   p_as_user       the end user of the request, or null for a caller that sees all
--   is_behind       many turns wait for their words, so fill_search helps the next searches. False if the server takes
--                   no writes
-- complete is false if the time for a page was spent before the page was full. The cursor goes on there.
-- It is also false after the last page, if that has not all turns: some have no words yet, or order=relevance ranks only
-- the newest 2,000. The cursor is null then.
-- Raises RB428 if the cursor is unreadable or of another search, RB430 if the query has no word, RB501 if the search is
-- off, and RB503 (sql/README.md).
set local role robot_brain_owner;

create or replace function robot_brain_api.search(
  p_tenant_id text,
  p_query text,
  p_limit integer default 20,
  p_cursor text default null,
  p_session_id text default null,
  p_user_id text default null,
  p_personality text default null,
  p_metadata jsonb default null,
  p_from timestamptz default null,
  p_to timestamptz default null,
  p_in text default null,
  p_order text default 'newest',
  p_prefix boolean default false,
  p_as_user text default null,
  p_schema_version integer default null,
  out body text,
  out is_behind boolean
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
-- The steps have texts with backslashes.
set standard_conforming_strings = on
set enable_seqscan = off
-- PostgreSQL up to 17 would compile a plan with such a scan, which takes 100 ms.
set jit = off
as $$
declare
  c_ranked constant integer := 2000;
  v_as_of constant timestamptz := coalesce(pg_last_xact_replay_timestamp(), clock_timestamp());
  v_limit constant integer := least(greatest(p_limit, 1), 50);
  v_is_ranked constant boolean := p_order = 'relevance';
  v_user_id constant text := coalesce(p_as_user, p_user_id);
  v_list constant text := jsonb_build_array('search', p_query, p_session_id, v_user_id, p_personality, p_metadata,
    extract(epoch from p_from), extract(epoch from p_to), p_in, v_is_ranked, p_prefix)::text;
  v_query tsquery;
  v_filters tsquery;
  v_cursor record;
  v_found record;
  v_page record;
  v_to timestamptz := coalesce(p_to, 'infinity');
begin
  if p_schema_version > robot_brain.served_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  if robot_brain.search_language() is null then
    raise exception using
      errcode = 'RB501', message = 'the search is off', hint = 'Run make migrate SEARCH=on.';
  end if;
  perform robot_brain.refuse_isolation();
  perform set_config('robot_brain.tenant_id', p_tenant_id, true);
  v_query := robot_brain.search_query(left(p_query, 1000), p_in, p_prefix);
  v_cursor := robot_brain.read_search_cursor(p_cursor, v_list);
  -- A month that is made meanwhile would move turns, and find_turns has one snapshot for all its statements.
  -- Sessions come first: make migrate SEARCH= locks them against this function.
  lock table only robot_brain.sessions, only robot_brain.conversations in access share mode;
  v_filters := robot_brain.search_filters(p_tenant_id, p_session_id, v_user_id, p_personality, p_metadata);
  if v_filters is null or p_user_id <> p_as_user then
    v_to := '-infinity';  -- no session of the tenant can match
  end if;

  if v_is_ranked then
    select f.* into v_found
    from robot_brain.find_turns(
      p_tenant_id, v_query, v_filters, p_session_id, v_user_id,
      greatest(coalesce(p_from, '-infinity'), v_cursor.from_time), v_to,
      v_cursor.to_time, v_cursor.to_session, v_cursor.to_seq, c_ranked, true,
      case when v_cursor.from_time is null then 60 else 10000 end
    ) f;
    v_page := robot_brain.ranked_page(v_found, v_cursor, v_limit);
  else
    select f.* into v_found
    from robot_brain.find_turns(
      p_tenant_id, v_query, v_filters, p_session_id, v_user_id,
      coalesce(p_from, '-infinity'), v_to,
      v_cursor.created_at, v_cursor.session_id, v_cursor.seq, v_limit + 1, false, 40
    ) f;
    v_page := robot_brain.newest_page(v_found, v_limit);
  end if;

  is_behind := coalesce(v_found.is_behind, false) and not current_setting('transaction_read_only')::boolean;
  body := json_build_object(
    'as_of', robot_brain.iso_time(v_as_of),
    'hits', robot_brain.search_hits(p_tenant_id, v_page.times, v_page.sessions, v_page.seqs, v_page.scores, v_query, p_in),
    'page', json_build_object(
      'cursor', case when v_page.place is not null then robot_brain.make_search_cursor(v_page.place, v_list) end,
      'complete', v_page.is_complete
    )
  );
end
$$;

grant execute on function robot_brain_api.search to robot_brain_app;
