-- Return whether a session of this id was erased within the last hour, so that this write may be one that was erased
-- with it. A first attempt is one only if a retry had written it. A new session of the id learns the first ids of such
-- writes, because their first attempts may still arrive.
--   p_first_id   null for a patch. A write with a key is found by its key, so no retry of it is searched here
set local role robot_brain_owner;

create or replace function robot_brain.after_erasure(
  p_tenant_id text, p_session_id text, p_first_id uuid, p_repeated boolean, p_is_new boolean
)
returns boolean
language plpgsql
as $$
declare
  v_repeated uuid[];
begin
  select e.repeated into v_repeated
  from robot_brain.erasures e
  where e.tenant_id = p_tenant_id
    and e.session_hash = sha256(convert_to(p_session_id, 'UTF8'))
    and e.erased_at > clock_timestamp() - interval '1 hour';
  if not found then
    return false;
  end if;
  if p_repeated or p_first_id = any (v_repeated) then
    return true;
  end if;
  if p_is_new and v_repeated is not null then
    -- A cached plan may have been made while the table was small (see write_message).
    perform set_config('enable_seqscan', 'off', true);
    update robot_brain.sessions s
    set repeated = v_repeated
    where s.tenant_id = p_tenant_id and s.id = p_session_id;
  end if;
  return false;
end
$$;
