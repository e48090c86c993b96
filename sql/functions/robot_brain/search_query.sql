-- Return the query for what a person typed: words, "phrases", -not, or. Raises RB430 if it has no word to look for.
--   p_in       user or robot: only the words of this text of a turn; null for both
--   p_prefix   the last word is the beginning of a word
-- A term is a text in quotes, or signs without a space. It becomes a phrase of the words that the parser finds in it, so
-- 'state-of-the-art' and 'a.b@example.com' are phrases. A term without a word is left out.
-- 'or' between two terms is the operator, and another term at the ends. It binds less than the space between two terms.
set local role robot_brain_search;

create or replace function robot_brain.search_query(p_text text, p_in text, p_prefix boolean)
returns tsquery
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_terms text[];
  v_term tsquery;
  v_query tsquery;
  v_group tsquery;  -- the terms since the last 'or'
  v_parts tsquery[] := '{}';  -- the same terms, one by one
begin
  -- A term of quotes that are not closed goes to the end.
  v_terms := array(
    select m.term[1] from regexp_matches(p_text, '(-?"[^"]*"?|[^\s"]+)', 'g') with ordinality m (term, n) order by m.n
  );
  v_terms := array(
    select t.term
    from unnest(v_terms) with ordinality t (term, n)
    where lower(t.term) = 'or' or numnode(robot_brain.term_query(t.term, false)) > 0
      or p_prefix and t.n = cardinality(v_terms) and numnode(robot_brain.term_query(t.term, true)) > 0
    order by t.n
  );
  for n in 1 .. cardinality(v_terms) loop
    if lower(v_terms[n]) = 'or' and n < cardinality(v_terms) and v_group is not null then
      v_query := coalesce(v_query || v_group, v_group);
      v_group := null;
      v_parts := '{}';
    else
      v_term := robot_brain.term_query(
        v_terms[n], p_prefix and n = cardinality(v_terms) and right(p_text, 1) !~ '[\s"]'
      );
      -- A word that is repeated costs time and changes nothing.
      if v_group is null or not v_term = any (v_parts) then
        v_group := coalesce(v_group && v_term, v_term);
        v_parts := v_parts || v_term;
      end if;
    end if;
  end loop;
  v_query := coalesce(v_query || v_group, v_query, v_group);

  -- querytree is empty or T if some turn without a word of the query would match.
  if coalesce(querytree(v_query), '') in ('', 'T') then
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
