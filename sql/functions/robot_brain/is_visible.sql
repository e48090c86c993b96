-- Return whether a caller sees a session with this user_id. p_as_user is the end user who asks, or null for a caller that
-- sees all. A session without a user_id belongs to the tenant, and no end user sees it.
-- PostgreSQL inlines the function. The planner cannot use it with sessions_of_user_idx, so each caller finds the session
-- by its id, as without an end user.
set local role robot_brain_owner;

create or replace function robot_brain.is_visible(p_user_id text, p_as_user text)
returns boolean
language sql
immutable
parallel safe
return coalesce(p_user_id = p_as_user, p_as_user is null);
