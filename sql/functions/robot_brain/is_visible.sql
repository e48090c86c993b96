-- Return whether a caller sees a session with this user_id. p_as_user is the end user of the request, or null for a
-- caller that sees all. A session without a user_id belongs to the tenant, and no end user sees it.
-- PostgreSQL inlines the function. The planner cannot use sessions_of_user_idx for it, so a session is always found by
-- its id.
set local role robot_brain_owner;

create or replace function robot_brain.is_visible(p_user_id text, p_as_user text)
returns boolean
language sql
immutable
parallel safe
return coalesce(p_user_id = p_as_user, p_as_user is null);
