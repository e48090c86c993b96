-- Step of write_message. Raises RB503, 22023 or 22001 for a request that is wrong in every state of the session.
set local role robot_brain_owner;

drop function if exists robot_brain.refuse_request;

create or replace function robot_brain.refuse_request(
  p_tenant_id text, p_session_id text, p_turns integer, p_user_metadata jsonb, p_as_user text,
  p_schema_version integer
)
returns void
language plpgsql
as $$
begin
  if p_schema_version > robot_brain.served_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  if p_turns is null or p_turns not between 1 and 100 then
    raise invalid_parameter_value using message = 'a write has 1 to 100 turns';
  end if;
  -- A varchar drops trailing spaces over its length, so the write would go to another session.
  if length(p_session_id) > 100 then
    raise string_data_right_truncation using message = 'a session id has at most 100 characters';
  end if;
  if length(p_as_user) not between 1 and 255 then
    raise string_data_right_truncation using message = 'a user id has 1 to 255 characters';
  end if;
  -- Rows that belong to all tenants have this tenant_id, and every tenant may read them.
  if p_tenant_id = '*' then
    raise invalid_parameter_value using message = '* is no tenant';
  end if;
  if jsonb_typeof(p_user_metadata) <> 'object' then
    raise invalid_parameter_value using message = 'user_metadata is an object';
  end if;
end
$$;
