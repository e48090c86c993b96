-- Return a text in small letters, with spaces instead of its punctuation, as many signs as it had. The parser of the words
-- makes the capital letters of ASCII small.
-- PostgreSQL's parser would take a path, an address, a number with a sign or an entity as one word, and would skip a tag.
-- For some such texts it takes seconds. Without these signs it finds words and digits only.
-- A database of the locale C takes each sign beyond ASCII as a letter. So the punctuation of other scripts, and emoji,
-- become spaces here, in each locale.
set local role robot_brain_search;

create or replace function robot_brain.folded_text(p_text text)
returns text
language plpgsql
immutable
parallel safe
as $$
declare
  v_text text := p_text;
begin
  if octet_length(v_text) <> length(v_text) then
    v_text := regexp_replace(
      robot_brain.lower_text(v_text),
      -- Latin-1; Arabic and Indic stops
      '[\u0080-\u00A9\u00AB-\u00B4\u00B6-\u00B9\u00BB-\u00BF\u00D7\u00F7\u060C\u061B\u061F\u06D4\u0964\u0965'
      -- punctuation, currencies, arrows, symbols; Chinese and Japanese stops
      || '\u2000-\u206F\u20A0-\u20CF\u2190-\u2BFF\u2E00-\u2E7F\u3000-\u3004\u3008-\u3020\u3030\u30FB'
      -- variants, full-width punctuation; emoji
      || '\uFE00-\uFE0F\uFE30-\uFE6F\uFF00-\uFF0F\uFF1A-\uFF20\uFF3B-\uFF40\uFF5B-\uFF65\uFFE0-\uFFFD'
      || '\U0001F000-\U0001FAFF]',
      ' ', 'g'
    );
  end if;
  v_text := replace(replace(replace(replace(v_text, '.', ' '), '-', ' '), '_', ' '), '/', ' ');
  return replace(replace(replace(replace(v_text, '@', ' '), '<', ' '), '&', ' '), '+', ' ');
end
$$;

grant execute on function robot_brain.folded_text to robot_brain_owner;
