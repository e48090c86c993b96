"""A database has the SQL functions of sql/functions, each with one form and the owner and grants of its file."""

import re

from ops.sql_files import read_sql
from tests.support.marks import without_pooler
from tests.support.servers.databases import Database

FILES = read_sql().functions
_FUNCTIONS = """
select n.nspname || '.' || p.proname, p.proowner::regrole::text,
  array(select a.grantee::regrole::text from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a order by 1)
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname in ('robot_brain', 'robot_brain_api')
order by 1
"""
# The functions that a function in SQL calls. For functions in PL/pgSQL PostgreSQL records no calls.
_CALLS = """
select distinct p.oid::regproc::text, d.refobjid::regproc::text
from pg_depend d join pg_proc p on p.oid = d.objid and d.classid = 'pg_proc'::regclass
join pg_proc r on r.oid = d.refobjid and d.refclassid = 'pg_proc'::regclass
where p.pronamespace in ('robot_brain'::regnamespace, 'robot_brain_api'::regnamespace) and p.oid <> r.oid
  and r.pronamespace in ('robot_brain'::regnamespace, 'robot_brain_api'::regnamespace)
"""

pytestmark = without_pooler


def test_each_sql_function_has_one_form_and_the_owner_and_grants_of_its_file(database: Database) -> None:
    declared = []
    for file in FILES:
        (owner,) = re.findall(r"^set local role (\w+);$", file.text, re.MULTILINE)
        grants = re.findall(rf"^grant execute on function {file.function} to ([\w, ]+);$", file.text, re.MULTILINE)
        roles = {role for grant in grants for role in grant.split(", ")}
        declared.append((file.function, owner, sorted({owner, *roles})))
    with database.admin() as admin:
        assert admin.execute(_FUNCTIONS).fetchall() == sorted(declared)


def test_each_sql_function_is_created_after_the_functions_that_it_calls(database: Database) -> None:
    place = {file.function: number for number, file in enumerate(FILES)}
    with database.admin() as admin:
        for function, called in admin.execute(_CALLS).fetchall():
            assert place[called] < place[function], f"{function} calls {called}"
