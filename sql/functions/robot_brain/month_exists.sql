-- Return whether a table of this name is a month of the turns. Raises duplicate_table (42P07) if it is another table.
-- Without this error the month's turns would stay in DEFAULT without a visible reason.
set local role robot_brain_owner;

create or replace function robot_brain.month_exists(p_name text)
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
    select from pg_inherits i where i.inhrelid = v_table and i.inhparent = 'robot_brain.conversations'::regclass
  ) then
    raise duplicate_table using
      message = format('the table robot_brain.%s exists and is no month of the turns', p_name),
      hint = 'Attach it to robot_brain.conversations again, or rename it.';
  end if;
  return true;
end
$$;
