-- Return a user's document (user_document) as one flat object, with names such as profile.first_name.
set local role robot_brain_owner;

create or replace function robot_brain.user_fields(p_document jsonb)
returns jsonb
language sql
immutable
return (
  select (p_document - 'profile') || coalesce(pg_catalog.jsonb_object_agg('profile.' || f.key, f.value), '{}')
  from pg_catalog.jsonb_each(p_document -> 'profile') f
);
