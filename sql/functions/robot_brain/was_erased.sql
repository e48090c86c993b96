-- Return whether a session of this id was erased within the last hour, so that this write may be one that was erased
-- with it. A first attempt is one only if a retry had written it.
set local role robot_brain_owner;

create or replace function robot_brain.was_erased(
  p_tenant_id text, p_session_id text, p_first_id uuid, p_repeated boolean
)
returns boolean
language plpgsql
as $$
begin
  return exists (
    select from robot_brain.erasures e
    where e.tenant_id = p_tenant_id
      and e.session_hash = sha256(convert_to(p_session_id, 'UTF8'))
      and e.erased_at > clock_timestamp() - interval '1 hour'
      and (p_repeated or p_first_id = any (e.repeated))
  );
end
$$;
