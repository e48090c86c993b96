-- Step of fill_words. Return the beginning of the newest month of turns before p_at, or null if p_at is before all turns.
-- A month of turns is a partition, or rows in DEFAULT.
set local role robot_brain_search;

create or replace function robot_brain.month_before(p_at timestamptz)
returns timestamptz
language plpgsql
as $$
begin
  return (
    select max(m.month)
    from (
      select to_date(right(k.relname, 7), 'YYYY_MM')::timestamptz as month
      from pg_inherits i
      join pg_class k on k.oid = i.inhrelid
      where i.inhparent = 'robot_brain.conversations'::regclass and k.relname ~ '_[0-9]{4}_[0-9]{2}$'
      union all
      select d::timestamptz from robot_brain.months_in_default('conversations') d
    ) m
    where m.month < p_at
  );
end
$$;
