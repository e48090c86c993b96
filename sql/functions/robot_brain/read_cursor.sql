-- Return the place that make_cursor has put into a cursor. Raises RB428 if the cursor is unreadable, or is one of
-- another list.
set local role robot_brain_owner;

create or replace function robot_brain.read_cursor(p_cursor text, p_list text, out number bigint, out id text)
language plpgsql
stable
as $$
declare
  v_place json;
  v_is_ours boolean := false;
begin
  begin
    v_place := convert_from(decode(p_cursor, 'hex'), 'UTF8')::json;
    number := (v_place ->> 0)::bigint;
    id := v_place ->> 1;
    -- The largest number is the last microsecond of the year 9999.
    v_is_ours := number between 0 and 253402300799999999
      and id is not null
      and v_place ->> 2 = robot_brain.list_filter(p_list);
  exception
    when data_exception then
      null;  -- v_is_ours stays false
  end;
  if v_is_ours is not true then
    raise exception using
      errcode = 'RB428',
      message = 'the cursor is unreadable, or was made for another list',
      hint = 'Begin without a cursor.';
  end if;
end
$$;
