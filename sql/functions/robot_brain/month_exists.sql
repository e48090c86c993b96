-- Return whether a table of this name is a month of p_table, which is conversations or robot_interactions. Raises
-- duplicate_table (42P07) if it is another table. Without this error the month's rows would stay in DEFAULT without a
-- visible reason.
set local role robot_brain_owner;

drop function if exists robot_brain.month_exists;

create or replace function robot_brain.month_exists(p_name text, p_table text)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_table constant regclass := to_regclass(format('robot_brain.%I', p_name));
begin
  if v_table is null then
    return false;
  end if;
  if not exists (
    select from pg_inherits i
    where i.inhrelid = v_table and i.inhparent = format('robot_brain.%I', p_table)::regclass
  ) then
    raise duplicate_table using
      message = format('the table robot_brain.%s exists and is no month of robot_brain.%s', p_name, p_table),
      hint = format('Attach it to robot_brain.%s again, or rename it.', p_table);
  end if;
  return true;
end
$$;
