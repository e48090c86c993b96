-- Step of list_sessions. Returns the place in the list after which a page begins: that of a cursor, or the beginning.
-- Raises RB428 if the cursor is unreadable, or was made for another user.
set local role robot_brain_owner;

create or replace function robot_brain.list_cursor(
  p_cursor text, p_user_id text, out active_hour timestamptz, out last_active timestamptz, out id text
)
language plpgsql
stable
as $$
declare
  v_place json;
  v_is_ours boolean := false;
begin
  if p_cursor is null then
    active_hour := 'infinity';
    last_active := 'infinity';
    id := '';
    return;
  end if;
  begin
    v_place := convert_from(decode(p_cursor, 'hex'), 'UTF8')::json;
    active_hour := to_timestamp(0) + (v_place ->> 0)::bigint * interval '1 microsecond';
    last_active := to_timestamp(0) + (v_place ->> 1)::bigint * interval '1 microsecond';
    id := v_place ->> 2;
    v_is_ours := id is not null and v_place ->> 3 = robot_brain.list_filter(p_user_id);
  exception
    when data_exception then
      null;  -- v_is_ours stays false
  end;
  if v_is_ours is not true then
    raise exception using
      errcode = 'RB428',
      message = 'the cursor is unreadable, or was made with other filters',
      hint = 'Begin without a cursor.';
  end if;
end
$$;
