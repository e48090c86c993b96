"""The login roles of the shared server, which tests of the rotation change."""

from collections.abc import Iterator
from contextlib import contextmanager

from ops.logins import LOGINS, PAIR
from tests.support.servers.databases import Template, set_app_login


@contextmanager
def logins_put_back(template: Template) -> Iterator[None]:
    """Restore the logins after the block as other tests expect them. All databases of the server share them."""
    yield
    with template.postgres.admin() as admin:
        for role in LOGINS:
            admin.execute(f"alter role {role} nologin password null connection limit -1".encode())
            admin.execute(f"comment on role {role} is null".encode())
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [role])
        admin.execute(f"grant robot_brain_app to {', '.join(PAIR)}".encode())
        set_app_login(admin, template.app_password)
