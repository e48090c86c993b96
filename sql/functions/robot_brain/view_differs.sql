-- Return whether session_stats lacks a session that it must show, shows an old state of one, or shows one that was
-- erased. The conditions are those of the view.
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
    where s.active_on >= v_since and s.message_count > 0 and s.erasing_at is null
  ) is distinct from (
    select row(count(*), sum(t.message_count), max(t.last_message))
    from robot_brain.session_stats t
    where t.last_message >= v_since::timestamp at time zone interval '0'
  );
end
$$;
