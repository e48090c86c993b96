-- The rights in the schemas of Robot Brain, each as the statement that would make it (rights.py).
with
-- An owner has all rights to its objects. Only those that it lacks are shown, because a later version of PostgreSQL
-- may know more rights.
schemas as (
  select n.oid, n.nspname, n.nspowner, coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner)) as rights
  from pg_catalog.pg_namespace n
  where n.nspname in ('robot_brain', 'robot_brain_api', 'robot_brain_migrations')
),
tables as (
  select
    c.oid,
    pg_catalog.format('%I.%I', s.nspname, c.relname) as name,
    case c.relkind when 'm' then 'materialized view' when 'v' then 'view' else 'table' end as kind,
    c.relowner, c.relrowsecurity, c.relforcerowsecurity,
    coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner)) as rights
  from schemas s
  join pg_catalog.pg_class c on c.relnamespace = s.oid
  where c.relkind in ('r', 'p', 'm', 'v')
),
functions as (
  select
    pg_catalog.format('%I.%I', s.nspname, p.proname) as name,
    p.proowner, coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)) as rights
  from schemas s
  join pg_catalog.pg_proc p on p.pronamespace = s.oid
),
objects as (
  select 'schema ' || pg_catalog.quote_ident(s.nspname) as name, s.nspowner as owner, s.rights,
    pg_catalog.acldefault('n', s.nspowner) as all_rights
  from schemas s
  union all
  select 'table ' || t.name, t.relowner, t.rights, pg_catalog.acldefault('r', t.relowner) from tables t
  union all
  select 'function ' || f.name, f.proowner, f.rights, pg_catalog.acldefault('f', f.proowner) from functions f
),
grants as (
  select o.name, o.owner, r.grantee, r.privilege_type, r.is_grantable
  from objects o
  cross join lateral pg_catalog.aclexplode(o.rights) r
),
columns as (
  select t.name, a.attname, r.grantee, r.privilege_type, r.is_grantable
  from tables t
  join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attacl is not null and not a.attisdropped
  cross join lateral pg_catalog.aclexplode(a.attacl) r
)
select pg_catalog.format('alter schema %I owner to %I', s.nspname, pg_catalog.pg_get_userbyid(s.nspowner))
from schemas s
union all
select pg_catalog.format('alter %s %s owner to %I', t.kind, t.name, pg_catalog.pg_get_userbyid(t.relowner))
from tables t
union all
select pg_catalog.format('alter function %s owner to %I', f.name, pg_catalog.pg_get_userbyid(f.proowner))
from functions f
union all
select pg_catalog.format('alter table %s enable row level security', t.name) from tables t where t.relrowsecurity
union all
select pg_catalog.format('alter table %s force row level security', t.name) from tables t where t.relforcerowsecurity
union all
select pg_catalog.format(
  'create policy %I on %s as %s for %s to %s%s%s',
  p.polname,
  t.name,
  case when p.polpermissive then 'permissive' else 'restrictive' end,
  case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
  (
    select pg_catalog.string_agg(
      case when r = 0 then 'public' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(r)) end, ', '
      order by pg_catalog.pg_get_userbyid(r) collate "C"
    )
    from pg_catalog.unnest(p.polroles) r
  ),
  ' using (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')',
  ' with check (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')'
)
from tables t
join pg_catalog.pg_policy p on p.polrelid = t.oid
union all
select pg_catalog.format(
  'grant %s on %s to %s%s',
  pg_catalog.lower(g.privilege_type),
  g.name,
  case when g.grantee = 0 then 'public' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(g.grantee)) end,
  case when g.is_grantable then ' with grant option' end
)
from grants g
where g.grantee <> g.owner
union all
select pg_catalog.format(
  'revoke %s on %s from %I', pg_catalog.lower(r.privilege_type), o.name, pg_catalog.pg_get_userbyid(o.owner)
)
from objects o
cross join lateral pg_catalog.aclexplode(o.all_rights) r
where r.grantee = o.owner
  and not exists (
    select
    from grants g
    where g.name = o.name and g.grantee = o.owner and g.privilege_type = r.privilege_type
  )
union all
select pg_catalog.format(
  'grant %s (%I) on table %s to %s%s',
  pg_catalog.lower(c.privilege_type),
  c.attname,
  c.name,
  case when c.grantee = 0 then 'public' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.grantee)) end,
  case when c.is_grantable then ' with grant option' end
)
from columns c
union all
select pg_catalog.format(
  'alter default privileges for role %I revoke execute on functions from public', r.rolname
)
from pg_catalog.pg_roles r
join pg_catalog.pg_default_acl d on d.defaclrole = r.oid and d.defaclnamespace = 0 and d.defaclobjtype = 'f'
where r.rolname in ('robot_brain_owner', 'robot_brain_stats', 'robot_brain_audit', 'robot_brain_search')
  and not exists (select from pg_catalog.aclexplode(d.defaclacl) a where a.grantee = 0)
