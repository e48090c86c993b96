-- Step of write_message and create_user. Raises RB410 if what the key wrote is erased, or is being erased. Otherwise
-- raises RB422, because the key belongs to another request, whose answer was p_response.
set local role robot_brain_owner;

drop function if exists robot_brain.refuse_key;

create or replace function robot_brain.refuse_key(p_is_gone boolean, p_response text)
returns void
language plpgsql
as $$
begin
  if p_is_gone then
    raise exception using
      errcode = 'RB410',
      message = 'what the idempotency key wrote was erased',
      hint = 'Use a new key for a new request.';
  end if;
  raise exception using
    errcode = 'RB422',
    message = 'the idempotency key was used for another request',
    -- The answer of create_user has no session_id.
    detail = json_strip_nulls(json_build_object(
      'session_id', p_response::json -> 'session_id',
      'seq', p_response::json #> '{messages,0,seq}',
      'user_id', p_response::json -> 'id'
    )),
    hint = 'Use a new key for a new request.';
end
$$;
