-- Step of find_turns. Return the query for the days (UTC) of a time, without its end. It is null if the time is most of a
-- month, because the condition on created_at then costs less.
set local role robot_brain_search;

create or replace function robot_brain.days_query(p_from timestamptz, p_to timestamptz)
returns tsquery
language plpgsql
stable
as $$
begin
  if p_to - p_from > interval '20 days' then
    return null;
  end if;
  return (
    -- A day's lexeme has nothing to quote.
    select string_agg('''' || robot_brain.day_lexeme(d) || '''', ' | ')
    from generate_series(date_trunc('day', p_from), p_to - interval '1 microsecond', interval '1 day') d
  )::tsquery;
end
$$;
