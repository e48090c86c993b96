-- The version of this schema. A change that a caller relies on, of a table or a function, raises it.
set local role robot_brain_owner;

create or replace function robot_brain.schema_version()
returns integer
language sql
immutable
parallel safe
return 2;
