-- Step of search_query. Return the query of a term: a phrase of its words. One - before a word excludes it.
--   p_prefix   the last word is the beginning of a word. An excluded or quoted term stays a whole word
-- A beginning of a word is no word of the language, and may look like a stop word. So it is also looked for as it is.
set local role robot_brain_search;

create or replace function robot_brain.term_query(p_term text, p_prefix boolean)
returns tsquery
language plpgsql
stable
as $$
declare
  v_text constant text := robot_brain.plain_text(p_term);
  v_query constant tsquery := phraseto_tsquery(robot_brain.search_language(), v_text);
  v_typed tsquery;
begin
  if p_term ~ '^-[^-]' then
    return !!v_query;
  end if;
  if not p_prefix or p_term like '"%' then
    return v_query;
  end if;
  v_typed := phraseto_tsquery('simple', v_text);
  if numnode(v_typed) = 0 then
    return v_typed;
  end if;
  v_typed := (v_typed::text || ':*')::tsquery;
  if numnode(v_query) = 0 or robot_brain.search_language() = 'pg_catalog.simple'::regconfig then
    return v_typed;
  end if;
  return v_typed || (v_query::text || ':*')::tsquery;
end
$$;
