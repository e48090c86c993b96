-- Return the query for what a person typed: words, "phrases", -not, or. Raises RB430 if it has no word to look for.
--   p_in       user or robot: only the words of this text of a turn; null for both
--   p_prefix   the last word is the beginning of a word
-- The query gets the same signs as the words (plain_text). A word that the parser would divide becomes a phrase.
set local role robot_brain_search;

create or replace function robot_brain.search_query(p_text text, p_in text, p_prefix boolean)
returns tsquery
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_text text := p_text;
  v_last text := '';
  v_query tsquery;
  v_lexemes text[];
begin
  if p_prefix and v_text ~ '[^\s"]$' then
    v_last := substring(v_text from '[^\s"]+$');
    if v_last like '-%' or v_text ~ '^[^"]*"([^"]*"[^"]*")*[^"]*$' then
      v_last := '';  -- the last word is excluded, or its phrase has no end
    else
      v_text := left(v_text, -length(v_last));
    end if;
  end if;

  v_text := robot_brain.quote_parts(v_text, '(^|\s)(-?)([^\s"-][^\s"]*[-_/@<][^\s"]*)', '\1\2"\3"');
  v_text := robot_brain.quote_parts(v_text, '()()([' || robot_brain.spaceless_signs() || ']{2,})', '"\3"');
  -- A hyphen in a phrase is no sign of the query.
  v_text := regexp_replace(v_text, '(?<=[^\s])-', ' ', 'g');
  v_query := websearch_to_tsquery(robot_brain.search_language(), robot_brain.plain_text(v_text));

  if v_last <> '' then
    v_lexemes := array(
      select t.lexeme
      from ts_parse('default', replace(robot_brain.plain_text(v_last), '-', ' ')) p
      cross join lateral unnest(to_tsvector('simple', p.token)) t
    );
    for n in 1 .. cardinality(v_lexemes) loop
      v_query := v_query && to_tsquery(
        robot_brain.search_language(),
        robot_brain.lexeme_query(v_lexemes[n])::text || case when n = cardinality(v_lexemes) then ':*' else '' end
      );
    end loop;
  end if;

  -- querytree is empty or T if some turn without a word of the query would match.
  if querytree(v_query) in ('', 'T') then
    raise exception using
      errcode = 'RB430',
      message = 'the query has no word to look for',
      hint = 'A word after - only excludes turns.';
  end if;
  if p_in is not null then
    v_query := regexp_replace(
      v_query::text, '(''(?:[^'']|'''')+'')(:(\*))?', '\1:\3' || case p_in when 'user' then 'A' else 'D' end, 'g'
    )::tsquery;
  end if;
  return v_query;
end
$$;

grant execute on function robot_brain.search_query to robot_brain_owner;
