"""Drop the schemas that a restore replaces, and no object of another program."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from ops.archive import SCHEMAS
from ops.contents import place_of
from ops.errors import MigrationError

# Requests wait for the drop, and the drop waits for requests. So it does not wait for long, and tries again.
_LOCK_TIMEOUT = "3s"
_ATTEMPTS = 10
# What depends on one of our objects, and is in another schema. A cascade would drop it without a word.
_OTHERS = """
with ours as (
  select n.oid from pg_catalog.pg_namespace n where n.nspname = any (%(ours)s)
),
objects (catalogue, oid) as (
  select 'pg_catalog.pg_namespace'::regclass, oid from ours
  union all
  select 'pg_catalog.pg_class'::regclass, c.oid from pg_catalog.pg_class c
    where c.relnamespace in (select oid from ours)
  union all
  select 'pg_catalog.pg_type'::regclass, t.oid from pg_catalog.pg_type t where t.typnamespace in (select oid from ours)
  union all
  select 'pg_catalog.pg_proc'::regclass, p.oid from pg_catalog.pg_proc p where p.pronamespace in (select oid from ours)
),
dependent as (
  select distinct d.classid, d.objid, d.objsubid,
    coalesce(
      (select c.relnamespace from pg_catalog.pg_class c
        where d.classid = 'pg_catalog.pg_class'::regclass and c.oid = d.objid),
      (select p.pronamespace from pg_catalog.pg_proc p
        where d.classid = 'pg_catalog.pg_proc'::regclass and p.oid = d.objid),
      (select t.typnamespace from pg_catalog.pg_type t
        where d.classid = 'pg_catalog.pg_type'::regclass and t.oid = d.objid),
      (select c.connamespace from pg_catalog.pg_constraint c
        where d.classid = 'pg_catalog.pg_constraint'::regclass and c.oid = d.objid),
      (select a.defaclnamespace from pg_catalog.pg_default_acl a
        where d.classid = 'pg_catalog.pg_default_acl'::regclass and a.oid = d.objid),
      (select c.relnamespace
        from pg_catalog.pg_class c
        where c.oid in (
          select r.ev_class from pg_catalog.pg_rewrite r
            where d.classid = 'pg_catalog.pg_rewrite'::regclass and r.oid = d.objid
          union all
          select t.tgrelid from pg_catalog.pg_trigger t
            where d.classid = 'pg_catalog.pg_trigger'::regclass and t.oid = d.objid
          union all
          select p.polrelid from pg_catalog.pg_policy p
            where d.classid = 'pg_catalog.pg_policy'::regclass and p.oid = d.objid
          union all
          select a.adrelid from pg_catalog.pg_attrdef a
            where d.classid = 'pg_catalog.pg_attrdef'::regclass and a.oid = d.objid
        ))
    ) as schema
  from pg_catalog.pg_depend d
  join objects o on d.refclassid = o.catalogue and d.refobjid = o.oid
)
select pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
from dependent d
where d.schema is null or d.schema not in (select oid from ours union all select 'pg_toast'::regnamespace)
order by 1
"""


def drop_schemas(connection: psycopg.Connection[Any], found: list[str]) -> None:
    """Drop the schemas `found` in this transaction.

    Raises MigrationError if the drop would take an object of another program with it. The message names the object.
    """
    refuse_others(connection)
    for schema in found:
        _drop(connection, sql.SQL("drop schema {} cascade").format(sql.Identifier(schema)))


def refuse_others(connection: psycopg.Connection[Any]) -> None:
    """Raise MigrationError if an object of another program depends on our schemas. The message names the object."""
    others = [name for (name,) in connection.execute(_OTHERS, {"ours": list(SCHEMAS)}).fetchall()]
    if others:
        raise MigrationError(
            f"Other objects depend on what is to be replaced: {'; '.join(others[:10])}{' …' if others[10:] else ''}. "
            f"They are in {place_of(connection)}. Nothing was changed. Drop them first, and make them again after the "
            "restore."
        )


def _drop(connection: psycopg.Connection[Any], statement: sql.Composed) -> None:
    connection.execute(sql.SQL("set local lock_timeout = {}").format(sql.Literal(_LOCK_TIMEOUT)))
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with connection.transaction():
                connection.execute(statement)
            return
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            if attempt == _ATTEMPTS:
                raise
