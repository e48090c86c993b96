-- Step of make ops DO=refill-search. Delete the words of a month that have no turn. Returns their number.
-- An edit or a removal waits meanwhile.
set local role robot_brain_search;

create or replace function robot_brain.refill_forget(p_month timestamptz)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
declare
  v_to constant timestamptz := p_month + interval '1 month';
  v_deleted bigint;
begin
  lock table only robot_brain.conversations in access share mode;
  lock table robot_brain.word_filling in share row exclusive mode;
  delete from robot_brain.turn_words w
  where w.created_at >= p_month and w.created_at < v_to
    and not exists (
      select from robot_brain.conversations c
      where c.tenant_id = w.tenant_id and c.session_id = w.session_id and c.seq = w.seq and c.created_at = w.created_at
        and c.created_at >= p_month and c.created_at < v_to
    );
  get diagnostics v_deleted = row_count;
  return v_deleted;
end
$$;
