-- Return the profile of a user, or null without one.
set local role robot_brain_owner;

create or replace function robot_brain.profile_of(p_tenant_id text, p_user_id text)
returns robot_brain.user_profiles
language plpgsql
as $$
declare
  v_profile robot_brain.user_profiles;
begin
  select p.* into v_profile
  from robot_brain.user_profiles p
  where p.tenant_id = p_tenant_id and p.user_id = p_user_id;
  return v_profile;
end
$$;
