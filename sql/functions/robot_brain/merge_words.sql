-- Step of fill_words. Merge the new entries of a month into its index, because each search reads those that are not
-- merged one by one.
set local role robot_brain_search;

create or replace function robot_brain.merge_words(p_month timestamptz)
returns void
language plpgsql
as $$
begin
  perform gin_clean_pending_list(i.indexrelid)
  from pg_index i
  join pg_class k on k.oid = i.indexrelid
  join pg_am a on a.oid = k.relam
  where a.amname = 'gin'
    and i.indrelid = to_regclass('robot_brain.turn_words_' || to_char(p_month, 'YYYY_MM'));
end
$$;
