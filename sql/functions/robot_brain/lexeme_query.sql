-- Return the query for a lexeme as it is, which no text of a client can leave.
set local role robot_brain_search;

create or replace function robot_brain.lexeme_query(p_lexeme text)
returns tsquery
language sql
immutable
parallel safe
return ('''' || pg_catalog.replace(pg_catalog.replace(p_lexeme, '\', '\\'), '''', '''''') || '''')::pg_catalog.tsquery;

grant execute on function robot_brain.lexeme_query to robot_brain_owner;
