-- Delete the words of turns that are changed or removed in the caller's transaction. A turn may lack them yet.
--   p_seqs, p_times   the turns, each with its created_at
--   p_queue           the turns stay, with other texts: queue them
-- The lock lasts until the caller's commit, and keeps fill_words out. Otherwise that could insert the old words again.
-- Callers have locked the session's row before. fill_words locks no session.
set local role robot_brain_search;

create or replace function robot_brain.forget_words(
  p_tenant_id text, p_session_id text, p_seqs integer[], p_times timestamptz[], p_queue boolean
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set enable_seqscan = off
-- PostgreSQL up to 17 would compile a plan with such a scan, which takes 100 ms.
set jit = off
set enable_hashjoin = off
set enable_mergejoin = off
-- Each plan reads the months of these turns only.
set plan_cache_mode = force_custom_plan
as $$
begin
  if robot_brain.search_language() is null or cardinality(p_seqs) = 0 then
    return;
  end if;
  perform robot_brain.refuse_isolation();
  lock table robot_brain.word_filling in row exclusive mode;
  -- No join, because without statistics PostgreSQL would compare each turn with all words of the tenant. An expression of
  -- seq, because an index that is asked for two lists looks at each pair of their members, before PostgreSQL 17.
  delete from robot_brain.turn_words w
  where w.tenant_id = p_tenant_id
    and w.created_at = any (p_times)
    and w.session_id = p_session_id
    and w.seq + 0 = any (p_seqs);
  if p_queue then
    insert into robot_brain.search_queue (tenant_id, session_id, from_seq, to_seq, day)
    select p_tenant_id, p_session_id, t.seq, t.seq, (t.created_at at time zone interval '0')::date
    from unnest(p_seqs, p_times) t (seq, created_at);
  end if;
end
$$;

grant execute on function robot_brain.forget_words to robot_brain_owner;
