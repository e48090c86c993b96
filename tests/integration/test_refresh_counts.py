"""A refresh that fails in one of its steps logs what it did before."""

import pytest

from robot_brain.errors import RobotBrainError
from tests.integration.audited import fill
from tests.support.bundle import Bundle
from tests.support.log_lines import logged
from tests.support.servers.databases import Database

# Each call chains 2,000 entries. The second call then fails.
FAILS_AFTER_2000 = """
create function public.refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
create trigger refuse before update on robot_brain.audit_logs for each row when (new.n > 2000)
  execute function public.refuse();
grant execute on function public.refuse() to public;
"""


def test_the_line_of_a_refresh_that_fails_while_it_chains_has_the_number_of_entries_it_has_chained(
    bundle: Bundle, database: Database
) -> None:
    fill(database, ["local"], 2_500)
    with database.admin() as admin:
        admin.execute(FAILS_AFTER_2000.encode())
    with logged() as lines, pytest.raises(RobotBrainError):
        bundle.refresh()
    assert lines()[-1]["audit_chained"] == 2_000
