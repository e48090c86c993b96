-- Return the cursor of a place in a list: a number, an id, and the list that the cursor is good with. Clients do not
-- read it.
set local role robot_brain_owner;

create or replace function robot_brain.make_cursor(p_number bigint, p_id text, p_list text)
returns text
language plpgsql
stable
as $$
begin
  return encode(convert_to(json_build_array(p_number, p_id, robot_brain.list_filter(p_list))::text, 'UTF8'), 'hex');
end
$$;
