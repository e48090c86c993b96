-- Return p_target changed by a JSON merge patch (RFC 7396). A member of the patch replaces the member of its name. Null
-- removes that member, and an object is merged into it.
set local role robot_brain_owner;

create or replace function robot_brain.merge_patch(p_target jsonb, p_patch jsonb)
returns jsonb
language plpgsql
immutable
as $$
begin
  if jsonb_typeof(p_patch) <> 'object' then
    return p_patch;
  end if;
  return (
    select coalesce(jsonb_object_agg(
      coalesce(p.key, t.key),
      case
        when p.key is null then t.value
        when jsonb_typeof(p.value) = 'object' then robot_brain.merge_patch(t.value, p.value)
        else p.value
      end
    ), '{}')
    from jsonb_each(case when jsonb_typeof(p_target) = 'object' then p_target else '{}' end) t
    full join jsonb_each(p_patch) p using (key)
    where jsonb_typeof(p.value) is distinct from 'null'
  );
end
$$;
