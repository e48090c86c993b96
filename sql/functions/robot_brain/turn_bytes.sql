-- Return a bound for the bytes that a turn takes in an answer, escaped as PostgreSQL and Lambda escape it. The 400
-- bytes are for the names and the small fields of a turn. A byte of text takes up to 7 bytes, a byte of stored JSON up
-- to 2. PostgreSQL inlines the function, because it has no setting and uses each parameter once.
set local role robot_brain_owner;

create or replace function robot_brain.turn_bytes(
  p_robot_personality text, p_user_message text, p_robot_response text, p_metadata jsonb, p_items jsonb
)
returns integer
language sql
immutable
parallel safe
return 400
  + 7 * (pg_catalog.octet_length(p_robot_personality) + pg_catalog.octet_length(p_user_message)
    + pg_catalog.octet_length(p_robot_response))
  + 2 * (coalesce(pg_catalog.octet_length(p_metadata::text), 0) + coalesce(pg_catalog.octet_length(p_items::text), 0));
