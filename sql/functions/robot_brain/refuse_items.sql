-- Raise RB424 if items are larger than 256 KiB as stored, and 22023 if they are no array of up to 200 objects.
--   p_turn   the position of the turn in the write, from 0; null if the request has one turn by itself
set local role robot_brain_owner;

create or replace function robot_brain.refuse_items(p_items jsonb, p_turn integer)
returns void
language plpgsql
as $$
begin
  if p_items is null then
    return;
  end if;
  if jsonb_typeof(p_items) <> 'array' then
    raise invalid_parameter_value using message = 'items is an array';
  elsif jsonb_array_length(p_items) > 200 or p_items @? 'strict $[*] ? (@.type() != "object")' then
    raise invalid_parameter_value using message = 'items is an array of up to 200 objects';
  elsif octet_length(p_items::text) > 262144 then
    raise exception using
      errcode = 'RB424',
      message = 'the items of a turn would be larger than 256 KiB',
      detail = json_build_object('turn', p_turn),
      hint = 'Store large data elsewhere, and its address in the item.';
  end if;
end
$$;
