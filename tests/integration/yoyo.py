"""A database as an older `make migrate` left it, which used yoyo-migrations."""

import hashlib

import psycopg

from local.settings import ROOT

# The files of schema 2, unchanged.
FILES = sorted((ROOT / "tests/integration/schemas/2").glob("*.sql"))

_TABLES = """
create schema robot_brain_migrations;
create table robot_brain_migrations._yoyo_log (
  id varchar(36), migration_hash varchar(64), migration_id varchar(255), operation varchar(10), username varchar(255),
  hostname varchar(255), comment varchar(255), created_at_utc timestamp, primary key (id)
);
create table robot_brain_migrations._yoyo_version (version int not null primary key, installed_at_utc timestamp);
create table robot_brain_migrations._yoyo_migration (
  migration_hash varchar(64), migration_id varchar(255), applied_at_utc timestamp, primary key (migration_hash)
);
create table robot_brain_migrations.yoyo_lock (locked int default 1 primary key, ctime timestamp, pid int not null);
insert into robot_brain_migrations._yoyo_version values (1, now()), (2, now());
"""
_RECORD = "insert into robot_brain_migrations._yoyo_migration values (%s, %s, now())"
_LOG = """
insert into robot_brain_migrations._yoyo_log
values (gen_random_uuid()::text, %s, %s, 'apply', 'somebody', 'somewhere', null, now())
"""


def migrate_with_yoyo(direct_url: str, files: int = len(FILES)) -> None:
    """Apply and record the first `files` files of schema 2. With 0 this makes only the tables of yoyo."""
    with psycopg.connect(direct_url, autocommit=True) as connection:
        connection.execute(_TABLES)
        for file in FILES[:files]:
            digest = hashlib.sha256(file.stem.encode()).hexdigest()
            with connection.transaction():
                connection.execute(file.read_bytes())
                connection.execute(_LOG, [digest, file.stem])
                connection.execute(_RECORD, [digest, file.stem])
