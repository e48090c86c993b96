-- Return the version that the functions of robot_brain_api serve. It is 0 if they belong to another role than
-- robot_brain_owner, as after pg_restore --no-owner. The policies do not apply to that role. It would see the rows of
-- all tenants, or no row at all. A read or an erasure of a stored session would then answer 404.
-- The function has no settings, so that PostgreSQL inlines it into the condition of its caller.
set local role robot_brain_owner;

create or replace function robot_brain.served_version()
returns integer
language sql
stable
parallel safe
return case when current_user = 'robot_brain_owner' then robot_brain.schema_version() else 0 end;
