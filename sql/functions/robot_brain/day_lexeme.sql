-- Return the lexeme of a moment's day (UTC). A query for a part of a month has the lexemes of its days.
set local role robot_brain_search;

create or replace function robot_brain.day_lexeme(p_at timestamptz)
returns text
language sql
immutable
parallel safe
return e'\x05' || ((p_at at time zone interval '0')::date - date '2000-01-01');
