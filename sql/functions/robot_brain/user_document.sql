-- Return what requests may change of a user, in the form of their bodies. Absent members are left out.
set local role robot_brain_owner;

create or replace function robot_brain.user_document(p_user robot_brain.users, p_profile robot_brain.user_profiles)
returns jsonb
language sql
immutable
return pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
  'email', p_user.email,
  'password_hash', p_user.password_hash,
  'profile', pg_catalog.jsonb_build_object(
    'first_name', p_profile.first_name, 'last_name', p_profile.last_name, 'avatar_url', p_profile.avatar_url
  )
));
