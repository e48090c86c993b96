-- Return the entity tag of a session's state. The cast makes the concatenation immutable. Only then can PostgreSQL
-- inline the function, which saves 30 us on PostgreSQL 15.
set local role robot_brain_owner;

create or replace function robot_brain.etag(p_last_seq integer, p_version bigint)
returns text
language sql
immutable
strict
parallel safe
return '"' || p_last_seq::text || '.' || pg_catalog.to_hex(p_version) || '"';
