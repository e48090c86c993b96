-- Step of make ops DO=refill-search. Let fill_words go through all turns before p_to again. It skips those with words.
set local role robot_brain_search;

create or replace function robot_brain.refill_begin(p_to timestamptz)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  lock table robot_brain.word_filling in share row exclusive mode;
  -- A restore of some tables may have left the row out.
  insert into robot_brain.search_state as s (language, filled_from)
  select format('%I.%I', n.nspname, c.cfgname), p_to
  from pg_ts_config c
  join pg_namespace n on n.oid = c.cfgnamespace
  where c.oid = robot_brain.search_language()
  on conflict (tenant_id) do update set
    filled_from = greatest(s.filled_from, p_to), place_tenant = null, place_session = null, place_seq = null;
end
$$;
