-- Return the hash of an entry in its chain: SHA-256 of the hash before it and the text of the entry. The text depends on
-- no setting of the session, the server or its version, and two entries never have the same one. So a moment is in
-- seconds since 1970, because to_char writes a year before Christ like one after it. And documents are texts in it,
-- because a null of JSON would look like an absent document.
set local role robot_brain_audit;

create or replace function robot_brain.audit_hash(p_before bytea, p_entry robot_brain.audit_logs)
returns bytea
language sql
stable
return pg_catalog.sha256(p_before || pg_catalog.convert_to(
  pg_catalog.jsonb_build_object(
    'n', p_entry.n,
    'tenant_id', p_entry.tenant_id,
    'id', p_entry.id,
    'table_name', p_entry.table_name,
    'record_id', p_entry.record_id,
    'action', p_entry.action,
    'old_data', p_entry.old_data::text,
    'new_data', p_entry.new_data::text,
    'user_id', p_entry.user_id,
    'request_id', p_entry.request_id,
    'created_at', extract(epoch from p_entry.created_at),
    'chained_at', extract(epoch from p_entry.chained_at)
  )::text,
  'UTF8'
));
