-- Step of write_message. Raises RB422, because the key belongs to another request, whose answer was p_response.
set local role robot_brain_owner;

create or replace function robot_brain.refuse_key(p_response json)
returns void
language plpgsql
as $$
begin
  raise exception using
    errcode = 'RB422',
    message = 'the idempotency key was used for another request',
    detail = json_build_object('session_id', p_response -> 'session_id', 'seq', p_response #> '{messages,0,seq}'),
    hint = 'Use a new key for a new request.';
end
$$;
