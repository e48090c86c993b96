-- Return the entity tag of a user's state.
set local role robot_brain_owner;

create or replace function robot_brain.user_etag(p_version bigint)
returns text
language sql
immutable
strict
parallel safe
return '"' || pg_catalog.to_hex(p_version) || '"';
