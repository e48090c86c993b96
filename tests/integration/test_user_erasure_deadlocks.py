"""An erasure of a user, or of a session, never blocks a request that waits for it, and so causes no deadlock.

An expired key that was not cleared yet may be used again. Such a request changes the row of the key, as an erasure
does.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.integration.user_rows import TURNS, Connection, step
from tests.support.marks import without_pooler
from tests.support.servers.databases import Database
from tests.support.servers.gate import wait_for_pid

EXPIRE = "update robot_brain.idempotency_keys set expires_at = clock_timestamp() - interval '1 minute'"
WRITE = "select body from robot_brain_api.write_message('local', 's', %s, p_key => 'key')"
CREATE = (
    "select body from robot_brain_api.create_user('local', %s, %s, p_email_key => 'kim@example.com', p_key => 'key')"
)
OWN = "select from robot_brain_api.patch_session('local', 's', p_user_id => 'kim', p_sets_user_id => true)"
ERASE_SESSION = "select state from robot_brain_api.erase_session('local', 's')"
USER = '{"email": "Kim@example.com"}'


def prepare(admin: Connection, key_of: str) -> None:
    """Make the user kim with the session s. The key was used for one of them, and has expired."""
    key = "'key'"
    admin.execute(WRITE.replace(key, key if key_of == "session" else "null").encode(), [TURNS])
    admin.execute(CREATE.replace(key, key if key_of == "user" else "null").encode(), ["kim", USER])
    admin.execute(OWN)
    admin.execute(EXPIRE)


def waits(observer: Connection, waiting: Connection) -> None:
    """Return when the server process of `waiting` waits for a lock."""
    wait_for_pid(observer, "select pid from pg_locks where pid = %s and not granted", [waiting.info.backend_pid])


@without_pooler
@pytest.mark.parametrize(("erases", "asks"), [("user", "write"), ("user", "create"), ("session", "write")])
def test_an_expired_key_is_used_again_while_what_it_wrote_is_erased(database: Database, erases: str, asks: str) -> None:
    """The erasure stops before it empties the remembered answer. The request then comes to it."""
    with database.admin() as holder, closing(database.app()) as eraser, closing(database.app()) as asker:
        prepare(holder, "session")
        with ThreadPoolExecutor(2) as threads:
            with holder.transaction():
                # An erasure counts what it removes before it empties remembered answers.
                holder.execute("lock table robot_brain.uncounted in share mode")
                erasing = threads.submit(
                    lambda: step(eraser, "kim") if erases == "user" else eraser.execute(ERASE_SESSION).fetchone()
                )
                waits(holder, eraser)
                asking = threads.submit(
                    lambda: asker.execute(WRITE, [TURNS]) if asks == "write" else asker.execute(CREATE, ["new", USER])
                )
                waits(holder, asker)
            assert erasing.result() in ("erased", ("erased",))
            asking.result()


@without_pooler
def test_the_key_that_made_a_user_is_used_again_for_a_session_of_the_user_while_both_are_erased(
    database: Database,
) -> None:
    """The write stops after it has locked the session. The erasure of its user then comes to the session."""
    with database.admin() as holder, closing(database.app()) as eraser, closing(database.app()) as asker:
        prepare(holder, "user")
        with ThreadPoolExecutor(2) as threads:
            with holder.transaction():
                holder.execute("lock table robot_brain.uncounted in share mode")
                asking = threads.submit(lambda: asker.execute(WRITE, [TURNS]).fetchone())
                waits(holder, asker)
                erasing = threads.submit(step, eraser, "kim")
                waits(holder, eraser)
            asking.result()
            assert erasing.result() == "erased"
