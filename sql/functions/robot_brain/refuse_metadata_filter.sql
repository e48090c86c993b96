-- Step of list_sessions. Raises RB431 if sessions cannot be found by this metadata: it is no object, has no member, or is
-- larger than the metadata of any session.
set local role robot_brain_owner;

create or replace function robot_brain.refuse_metadata_filter(p_metadata jsonb)
returns void
language plpgsql
immutable
as $$
declare
  c_bytes constant integer := 16384;
begin
  if jsonb_typeof(p_metadata) <> 'object' or p_metadata = '{}' or octet_length(p_metadata::text) > c_bytes then
    raise exception using
      errcode = 'RB431',
      message = 'metadata must be an object with a member, of at most 16 KiB',
      detail = '{"metadata": "object"}';
  end if;
end
$$;
