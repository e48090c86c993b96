-- Return a text as the parser of the words gets it, at most 65,536 signs of it.
-- PostgreSQL's parser takes seconds for some texts with _, / or @, because it tries each word as a path or an address.
-- A < begins a tag, whose words it would skip. So these signs become spaces.
-- Scripts without spaces become one word a sign, and a search for some of the signs then finds them as a phrase.
set local role robot_brain_search;

create or replace function robot_brain.plain_text(p_text text)
returns text
language plpgsql
immutable
parallel safe
as $$
declare
  v_text constant text := replace(replace(replace(replace(left(p_text, 65536), '_', ' '), '/', ' '), '@', ' '), '<', ' ');
begin
  if octet_length(v_text) = length(v_text) then
    return v_text;
  end if;
  return regexp_replace(v_text, '([' || robot_brain.spaceless_signs() || '])', ' \1 ', 'g');
end
$$;

grant execute on function robot_brain.plain_text to robot_brain_owner;
