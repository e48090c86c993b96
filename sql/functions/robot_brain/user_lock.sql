-- Return the number of the advisory lock of a user. An erasure takes it alone. Whatever makes the user, or gives a
-- session to the user, shares it. So the first step of an erasure sees all sessions of the user.
set local role robot_brain_owner;

create or replace function robot_brain.user_lock(p_tenant_id text, p_user_id text)
returns bigint
language sql
immutable
parallel safe
-- A line break is in no tenant and in no user id. So no two tenants share a lock, as 'a' with 'b:c' and 'a:b' with 'c'
-- would with a colon. The seed is another than that of keys, so that no key of a client has the same lock.
return pg_catalog.hashtextextended(p_tenant_id || e'\n' || p_user_id, 1);
