-- Return a text as the parser of the words gets it, at most p_signs signs of it: composed_text and folded_text.
-- Scripts without spaces become one word a sign, and a search for some of the signs then finds them as a phrase.
set local role robot_brain_search;

create or replace function robot_brain.plain_text(p_text text, p_signs integer default 65536)
returns text
language plpgsql
immutable
parallel safe
as $$
declare
  v_text constant text := robot_brain.folded_text(robot_brain.composed_text(left(p_text, p_signs)));
begin
  if octet_length(v_text) = length(v_text) then
    return v_text;
  end if;
  return regexp_replace(v_text, '([' || robot_brain.spaceless_signs() || '])', ' \1 ', 'g');
end
$$;

grant execute on function robot_brain.plain_text to robot_brain_owner;
