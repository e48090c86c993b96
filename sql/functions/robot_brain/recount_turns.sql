-- Return a tenant's turns between two moments, or with p_from null the turns in DEFAULT. DEFAULT is read by its name,
-- because a month may have been made after the snapshot. A condition on the parent would then lead to the new month,
-- whose rows the snapshot does not see. The function has no settings, so that PostgreSQL can inline it.
set local role robot_brain_stats;

create or replace function robot_brain.recount_turns(p_tenant_id text, p_from timestamptz, p_to timestamptz)
returns table (day date, session_id text, robot_personality text, robot_response text)
language sql
stable
begin atomic
  select (c.created_at at time zone interval '0')::date, c.session_id, c.robot_personality, c.robot_response
  from robot_brain.conversations c
  where c.tenant_id = p_tenant_id and c.created_at >= p_from and c.created_at < p_to
  union all
  select (c.created_at at time zone interval '0')::date, c.session_id, c.robot_personality, c.robot_response
  from robot_brain.conversations_default c
  where c.tenant_id = p_tenant_id and p_from is null;
end;
