"""List our schemas and roles in a database's catalogue, one line for each object, to compare two databases."""

import psycopg

# Leave out NOT NULL constraints (type n): only PostgreSQL 18 lists them, and each column's line has attnotnull.
_CATALOGUE = """
with ours as (select oid, nspname from pg_namespace where nspname in ('robot_brain', 'robot_brain_api')),
relations as (select c.*, nspname from pg_class c join ours on ours.oid = c.relnamespace)
select concat_ws(' ', 'schema', nspname, n.nspowner::regrole, n.nspacl, obj_description(n.oid, 'pg_namespace'))
from pg_namespace n join ours using (oid, nspname)
union all
select concat_ws(' ', 'database', rights.acl)
from pg_database d, unnest(d.datacl) rights (acl) where d.datname = current_database()
union all
select concat_ws(' ', 'role', rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,
  rolbypassrls, rolconfig)
from pg_roles where rolname like 'robot\\_brain\\_%'
union all
select concat_ws(' ', 'member', member::regrole, 'of', roleid::regrole, admin_option)
from pg_auth_members where member::regrole::text like 'robot\\_brain\\_%'
union all
select concat_ws(' ', 'default rights', defaclrole::regrole, defaclnamespace, defaclobjtype, defaclacl)
from pg_default_acl
union all
select concat_ws(' ', 'relation', relkind, nspname, relname, relowner::regrole, relacl, relrowsecurity,
  relforcerowsecurity, relreplident, relpersistence, reloptions, relispopulated,
  pg_get_expr(relpartbound, oid), pg_get_partkeydef(oid), obj_description(oid, 'pg_class'))
from relations
union all
select concat_ws(' ', 'column', nspname, relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull,
  attidentity, attgenerated, attcollation::regcollation, attstorage, attcompression, attislocal, attinhcount, attacl,
  pg_get_expr(adbin, adrelid), col_description(attrelid, attnum))
from pg_attribute a join relations c on c.oid = attrelid left join pg_attrdef on adrelid = attrelid and adnum = attnum
where attnum > 0
union all
select concat_ws(' ', 'constraint', nspname, relname, conname, pg_get_constraintdef(t.oid), convalidated, conislocal,
  coninhcount, obj_description(t.oid, 'pg_constraint'))
from pg_constraint t join relations c on c.oid = conrelid where contype <> 'n'
union all
select concat_ws(' ', 'index', pg_get_indexdef(indexrelid), indisvalid, indisprimary, indisreplident,
  obj_description(indexrelid, 'pg_class'))
from pg_index join relations c on c.oid = indexrelid
union all
select concat_ws(' ', 'inherits', inhrelid::regclass, inhparent::regclass)
from pg_inherits join relations c on c.oid = inhrelid
union all
select concat_ws(' ', 'view', nspname, relname, pg_get_viewdef(oid)) from relations where relkind in ('m', 'v')
union all
select concat_ws(' ', 'policy', nspname, relname, polname, polcmd, polpermissive, polroles::regrole[],
  pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
from pg_policy join relations c on c.oid = polrelid
union all
select concat_ws(' ', 'function', p.oid::regprocedure, proowner::regrole, coalesce(proacl, acldefault('f', proowner)),
  obj_description(p.oid, 'pg_proc'), pg_get_functiondef(p.oid))
from pg_proc p join ours on ours.oid = pronamespace
union all
select concat_ws(' ', 'trigger', nspname, relname, pg_get_triggerdef(t.oid))
from pg_trigger t join relations c on c.oid = tgrelid where not tgisinternal
union all
select concat_ws(' ', 'type', nspname, typname, typtype, typowner::regrole, typacl)
from pg_type t join ours on ours.oid = typnamespace where typtype <> 'b'
union all
select concat_ws(' ', 'records', c.relname, c.relowner::regrole, c.relacl)
from pg_class c where c.relnamespace = to_regnamespace('robot_brain_migrations') and c.relkind <> 't'
order by 1
"""


def catalogue(admin: psycopg.Connection) -> list[str]:
    """Return a line for each object, with its owner, rights, settings, definition and comment."""
    return [line for (line,) in admin.execute(_CATALOGUE).fetchall()]
