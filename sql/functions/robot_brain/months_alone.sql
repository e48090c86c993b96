-- Step of find_turns. Return those of some months, newest first, that match_months may read from p_first on: until the
-- month of the next queued turn, because add_queued follows each part.
set local role robot_brain_search;

create or replace function robot_brain.months_alone(p_months timestamptz[], p_first integer, p_queued timestamptz)
returns timestamptz[]
language plpgsql
immutable
as $$
declare
  v_last integer := p_first - 1;
begin
  while p_months[v_last + 1] > coalesce(p_queued, '-infinity') loop
    v_last := v_last + 1;
  end loop;
  return p_months[p_first:v_last];
end
$$;
