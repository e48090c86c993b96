-- Step of search_query. Replace what matches, but leave what stands in quotes as it is.
set local role robot_brain_search;

create or replace function robot_brain.quote_parts(p_text text, p_pattern text, p_replacement text)
returns text
language sql
immutable
begin atomic
  select coalesce(pg_catalog.string_agg(
    case when p.n % 2 = 1 then pg_catalog.regexp_replace(p.part, p_pattern, p_replacement, 'g') else p.part end, '"' order by p.n
  ), '')
  from pg_catalog.unnest(pg_catalog.string_to_array(p_text, '"')) with ordinality p (part, n);
end;
