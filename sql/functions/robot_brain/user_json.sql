-- Return a user as answers show it. Absent members are left out, and the password hash always.
set local role robot_brain_owner;

create or replace function robot_brain.user_json(p_user robot_brain.users, p_profile robot_brain.user_profiles)
returns json
language sql
stable
return pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
  'id', p_user.id,
  'email', p_user.email,
  'created_at', robot_brain.iso_time(p_user.created_at),
  'updated_at', robot_brain.iso_time(p_user.updated_at),
  'profile', pg_catalog.json_build_object(
    'first_name', p_profile.first_name, 'last_name', p_profile.last_name, 'avatar_url', p_profile.avatar_url
  )
));
