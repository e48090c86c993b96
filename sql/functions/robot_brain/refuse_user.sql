-- Step of save_user and create_user. Raises RB503, 22001 or 22023 for a request that is wrong for each user.
-- No constraint checks the rest, because its error would write the row into the server's log.
set local role robot_brain_owner;

create or replace function robot_brain.refuse_user(
  p_tenant_id text, p_user_id text, p_user jsonb, p_email_key text, p_schema_version integer
)
returns void
language plpgsql
as $$
begin
  if p_schema_version > robot_brain.served_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  -- A varchar drops trailing spaces over its length.
  if p_user_id is null or length(p_user_id) not between 1 and 255 then
    raise string_data_right_truncation using message = 'a user id has 1 to 255 characters';
  end if;
  -- Rows that belong to all tenants have this tenant_id.
  if p_tenant_id = '*' then
    raise invalid_parameter_value using message = '* is no tenant';
  end if;
  if p_user is null or jsonb_typeof(p_user) <> 'object' then
    raise invalid_parameter_value using message = 'a user is an object';
  end if;
  if (p_user ->> 'email' is null) <> (p_email_key is null) then
    raise invalid_parameter_value using message = 'an e-mail has a key, and nothing else has one';
  end if;
  -- An entry of an index has at most 2,704 bytes.
  if octet_length(p_email_key) > 1500 then
    raise string_data_right_truncation using message = 'the key of an e-mail has at most 1500 bytes';
  end if;
end
$$;
