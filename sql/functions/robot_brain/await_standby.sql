-- Let this transaction's commit wait for the synchronous standby, although the transaction changes nothing. Call it
-- before an answer that confirms an earlier change. After a crash of the primary, or if somebody ended its wait, the
-- earlier change may be visible and missing on the standby. The client must not read that as a success.
-- PostgreSQL waits only at the commit of a transaction that has written to its log. An empty message is the smallest
-- such entry: it locks no row and changes no page. Without synchronous replication nothing happens. A standby does not
-- write, and what it shows it has.
set local role robot_brain_owner;

create or replace function robot_brain.await_standby()
returns void
language plpgsql
as $$
begin
  if current_setting('synchronous_standby_names') <> '' and not pg_is_in_recovery() then
    perform pg_logical_emit_message(true, 'robot_brain', '');
  end if;
end
$$;
