-- Return a text in which a letter and its combining mark are one sign (Unicode's NFC): e and U+0301 become é.
-- Only texts with marks of Latin, Greek and Cyrillic letters, or with the parts of Korean syllables, need it. normalize
-- takes minutes for a long row of marks, so a word of more than 64 signs stays as it is.
set local role robot_brain_search;

create or replace function robot_brain.composed_text(p_text text)
returns text
language plpgsql
immutable
parallel safe
as $$
begin
  if octet_length(p_text) = length(p_text) or p_text !~ '[\u0300-\u036F\u1100-\u11FF]' then
    return p_text;
  end if;
  return (
    select string_agg(case when length(m.part[1]) <= 64 then normalize(m.part[1]) else m.part[1] end, '' order by m.n)
    from regexp_matches(p_text, '([^\s!-/:-@]+|[\s!-/:-@]+)', 'g') with ordinality m (part, n)
  );
end
$$;

grant execute on function robot_brain.composed_text to robot_brain_owner;
