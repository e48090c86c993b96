-- Return the version of this schema. Raise the version with each change of a table or function that a caller relies on.
set local role robot_brain_owner;

create or replace function robot_brain.schema_version()
returns integer
language sql
immutable
parallel safe
return 7;
