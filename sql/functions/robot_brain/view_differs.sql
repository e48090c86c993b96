-- Return whether session_stats lacks a session that was active in the last 31 days, or shows an old state of one.
set local role robot_brain_stats;

create or replace function robot_brain.view_differs()
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_since constant date := (now() at time zone interval '0')::date - 30;
begin
  return (
    select row(count(*), sum(s.message_count), max(s.last_active))
    from robot_brain.sessions s
    where s.active_on >= v_since
  ) is distinct from (
    select row(count(*), sum(t.message_count), max(t.last_message))
    from robot_brain.session_stats t
    where t.last_message >= v_since::timestamp at time zone interval '0'
  );
end
$$;
