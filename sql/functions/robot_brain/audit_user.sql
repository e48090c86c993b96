-- Step of create_user and save_user. Appends the change of a user to the audit trail: the names of its fields, and of
-- those that changed. No value is recorded, because each of them names a person or is a secret.
--   p_was   the document (user_document) before the change; null if the user is new
--   p_is    the document after it
set local role robot_brain_owner;

create or replace function robot_brain.audit_user(
  p_tenant_id text, p_user_id text, p_was jsonb, p_is jsonb, p_actor text, p_request_id text
)
returns void
language plpgsql
as $$
declare
  v_was constant jsonb := robot_brain.user_fields(p_was);
  v_is constant jsonb := robot_brain.user_fields(p_is);
  v_fields constant text[] := array(select f from jsonb_object_keys(v_is) f order by f collate "C");
  v_changed constant text[] := array(
    select f.name
    from (select jsonb_object_keys(v_was || v_is)) f (name)
    where v_was -> f.name is distinct from v_is -> f.name
    order by f.name collate "C"
  );
begin
  if p_was is null then
    perform robot_brain.append_audit(
      p_tenant_id, 'users', p_user_id, 'INSERT',
      null, jsonb_build_object('fields', v_fields),
      p_actor, p_request_id
    );
  else
    perform robot_brain.append_audit(
      p_tenant_id,
      case when (select bool_and(f ^@ 'profile.') from unnest(v_changed) f) then 'user_profiles' else 'users' end,
      p_user_id,
      'UPDATE',
      jsonb_build_object('fields', array(select f from jsonb_object_keys(v_was) f order by f collate "C")),
      jsonb_build_object('fields', v_fields, 'changed', v_changed),
      p_actor, p_request_id
    );
  end if;
end
$$;
