-- Step of find_sessions. Return the path for an object that has the metadata in a member of the tenant's name, as
-- sessions_metadata_idx has it. Each $ outside of a string is the metadata.
set local role robot_brain_search;

create or replace function robot_brain.tenant_path(p_tenant_id text, p_path jsonpath)
returns jsonpath
language sql
immutable
as $$
  select string_agg(
    case when t.part[1] like '"%' then t.part[1] else replace(t.part[1], '$', '$.' || to_json(p_tenant_id)::text) end,
    '' order by t.number
  )::jsonpath
  from regexp_matches(p_path::text, '"(?:[^"\\]|\\.)*"|[^"]+', 'g') with ordinality t (part, number)
$$;
