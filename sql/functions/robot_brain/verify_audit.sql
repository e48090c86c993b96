-- Verify up to p_most entries of a tenant's chain after the entry p_after, whose hash is p_hash. The caller repeats the
-- call with `last` and `last_hash` until it is at the end, in one transaction with one snapshot (repeatable read).
--   last, last_hash   the last entry that is right
--   broken            the place in the chain of the first entry that is wrong, or null
--   reason            'missing' or 'changed'
--   late              how many entries say that they are over an hour older than the entry before them. A clock that was
--                     moved is a reason, and an entry that was inserted later is another one. What an entry says of its
--                     chaining proves nothing, because a refresh may come hours later.
--   first_late        the place in the chain of the first of them
--   last_created_at   pass it on as p_created_at
set local role robot_brain_audit;

drop function if exists robot_brain.verify_audit;

create or replace function robot_brain.verify_audit(
  p_tenant_id text,
  p_after bigint,
  p_hash bytea,
  p_created_at timestamptz,
  p_most integer,
  out last bigint,
  out last_hash bytea,
  out last_created_at timestamptz,
  out broken bigint,
  out reason text,
  out late bigint,
  out first_late bigint
)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_entry robot_brain.audit_logs;
begin
  last := p_after;
  last_hash := p_hash;
  last_created_at := p_created_at;
  late := 0;
  for v_entry in
    select l.*
    from robot_brain.audit_logs l
    where l.tenant_id = p_tenant_id and l.n > p_after
    order by l.n
    limit p_most
  loop
    if v_entry.n <> last + 1 then
      broken := last + 1;
      reason := 'missing';
      return;
    elsif v_entry.hash is distinct from robot_brain.audit_hash(last_hash, v_entry) then
      broken := v_entry.n;
      reason := 'changed';
      return;
    end if;
    if v_entry.created_at < last_created_at - interval '1 hour' then
      late := late + 1;
      first_late := coalesce(first_late, v_entry.n);
    end if;
    last := v_entry.n;
    last_hash := v_entry.hash;
    last_created_at := v_entry.created_at;
  end loop;
end
$$;
