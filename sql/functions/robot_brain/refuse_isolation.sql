-- Raise 40001 if the transaction is not read committed. With another level, a statement after a wait for a user's lock
-- does not see what was committed during the wait. So an erasure would miss a session, or a new session an erasure. After a
-- wait for fill_words (forget_words) an edit would miss the words that it must delete, and fill_words itself an edit. A
-- search would miss turns that a new month has taken from DEFAULT.
-- A former client of a pooler may have left another level behind. The caller then tries again in a clean transaction.
set local role robot_brain_owner;

create or replace function robot_brain.refuse_isolation()
returns void
language plpgsql
as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise serialization_failure using
      message = 'the transaction must be read committed',
      hint = 'Begin it with: begin isolation level read committed';
  end if;
end
$$;

grant execute on function robot_brain.refuse_isolation to robot_brain_search;
