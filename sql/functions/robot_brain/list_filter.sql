-- Return a short text that stands for the filters of a list. A cursor has it, because it is good with them only.
set local role robot_brain_owner;

create or replace function robot_brain.list_filter(p_user_id text)
returns text
language sql
immutable
return pg_catalog.left(
  pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(coalesce(p_user_id, ''), 'UTF8')), 'hex'), 16
);
