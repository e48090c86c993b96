-- Make the words of some turns that lack them: of the queue first, then of the newest month that is not filled.
-- Returns {"words_made": number of turns, "has_more": boolean}, or null if another call runs and p_wait is false.
-- A call makes the words of up to 1,000 turns, or fewer if they are long. So it takes some tenths of a second at most.
-- It is one transaction, so after a kill the same turns are still queued.
-- The lock keeps out other fillings, and those who delete words (forget_words). Writers and readers go on. Without the
-- lock this call could insert the words of a turn that was edited or removed meanwhile.
set local role robot_brain_search;

create or replace function robot_brain.fill_words(p_wait boolean)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
-- The steps have texts with backslashes.
set standard_conforming_strings = on
-- The steps reckon with months.
set timezone = 'UTC'
set enable_seqscan = off
-- PostgreSQL up to 17 would compile a plan with such a scan, which takes 100 ms.
set jit = off
set enable_hashjoin = off
set enable_mergejoin = off
-- Each plan reads one month only.
set plan_cache_mode = force_custom_plan
as $$
declare
  c_turns constant integer := 1000;
  -- Bytes count up to 65,536 for a text, because plain_text takes no more signs. A turn may have more than all of these.
  c_bytes constant integer := 1000000;
  v_state robot_brain.search_state;
  v_made integer;
begin
  perform robot_brain.refuse_isolation();
  if p_wait then
    lock table robot_brain.word_filling in share row exclusive mode;
  else
    begin
      lock table robot_brain.word_filling in share row exclusive mode nowait;
    exception
      when lock_not_available then
        return null;
    end;
  end if;

  if robot_brain.search_language() is null then
    return jsonb_build_object('words_made', 0, 'has_more', false);
  end if;
  v_made := robot_brain.fill_queued(c_turns, c_bytes);
  if v_made is not null then
    return jsonb_build_object('words_made', v_made, 'has_more', true);
  end if;
  select s.* into v_state from robot_brain.search_state s where s.tenant_id = '*';
  if v_state.filled_from is null or v_state.filled_from = '-infinity' then
    return jsonb_build_object('words_made', 0, 'has_more', false);
  end if;
  return jsonb_build_object('words_made', robot_brain.fill_month(v_state, c_turns, c_bytes), 'has_more', true);
end
$$;

grant execute on function robot_brain.fill_words to robot_brain_owner;
