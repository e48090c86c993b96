-- Return a query that ranks turns and marks words as p_query does, at a cost that is bounded.
-- ts_rank_cd took 43 s for one turn and a query of 1,000 signs. So a query of more than 8 words becomes its first 16 words
-- with 'or' between them. A turn that has more of them, or has them more often, still ranks higher.
-- Excluded words are in neither.
set local role robot_brain_search;

create or replace function robot_brain.bounded_query(p_query tsquery)
returns tsquery
language plpgsql
immutable
parallel safe
as $$
declare
  c_nodes constant integer := 15;  -- 8 words and 7 operators
  c_words constant integer := 16;
  v_query constant tsquery := querytree(p_query)::tsquery;
begin
  if numnode(v_query) <= c_nodes then
    return v_query;
  end if;
  return (
    select string_agg(w.lexeme, ' | ' order by w.n)
    from (
      select m.part[1] as lexeme, min(m.n) as n
      from regexp_matches(v_query::text, '(''(?:[^'']|'''')+''(?::[*A-D]+)?)', 'g') with ordinality m (part, n)
      group by 1
      order by 2
      limit c_words
    ) w
  )::tsquery;
end
$$;

grant execute on function robot_brain.bounded_query to robot_brain_owner;
