"""`python -m ops audit-verify`: what it prints, its exit status, and the file of the heads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.settings import ROOT
from ops.audit_heads import Head, read_heads, write_heads
from ops.errors import MigrationError
from tests.integration.audited import chained, command, fill, tamper
from tests.support.servers.databases import Database
from tests.support.waiting import outputs_of

ENTRIES = 3
pytestmark = pytest.mark.parametrize("database", ["embedded"], indirect=True)


@pytest.fixture
def trail(database: Database) -> Database:
    """Two chained tenants, and one entry of an operator."""
    fill(database, ["local", "other"], ENTRIES)
    assert chained(database) == 2 * ENTRIES + 1
    return database


def test_a_trail_that_is_right_exits_with_0_and_says_what_is_not_chained_yet(trail: Database) -> None:
    fill(trail, ["local"], 2)
    assert command(trail.direct_url) == (0, ["Entries verified: 7 (tenants: 3). Not chained yet: 2."], "")


def test_a_broken_trail_exits_with_1_names_each_first_broken_entry_and_saves_no_heads(
    trail: Database, tmp_path: Path
) -> None:
    tamper(trail, "update robot_brain.audit_logs set user_id = 'eve' where n = 2 and tenant_id <> '*'")
    with trail.admin() as admin:
        found = admin.execute("select tenant_id, id from robot_brain.audit_logs where n = 2").fetchall()
    ids: dict[str, int] = {row[0]: row[1] for row in found}
    saved = tmp_path / "heads"
    status, lines, errors = command(trail.direct_url, "--save", str(saved))
    assert (status, errors) == (1, "")
    assert lines == [
        f"'local': entry 2 (id {ids['local']}) was changed",
        f"'other': entry 2 (id {ids['other']}) was changed",
        "Entries verified: 3 (tenants: 3). Not chained yet: 0.",
        "Broken chains: 2. The heads were not saved.",
    ]
    assert not saved.exists()


def test_saved_heads_find_a_tenant_that_is_gone(trail: Database, tmp_path: Path) -> None:
    saved = str(tmp_path / "heads")
    assert command(trail.direct_url, "--save", saved) == (
        0, ["Entries verified: 7 (tenants: 3). Not chained yet: 0.", f"Saved the heads to {saved}."], "",
    )  # fmt: skip
    assert command(trail.direct_url, "--heads", saved)[0] == 0
    for table in ("audit_logs", "audit_heads"):
        tamper(trail, f"delete from robot_brain.{table} where tenant_id = 'other'")
    assert command(trail.direct_url)[0] == 0
    assert command(trail.direct_url, "--heads", saved)[:2] == (
        1,
        [
            f"'other': entry 1 is missing, and the kept head is entry {ENTRIES}",
            "Entries verified: 4 (tenants: 3). Not chained yet: 0.",
            "Broken chains: 1.",
        ],
    )


def test_without_a_chained_entry_there_are_no_heads_to_save_and_the_old_file_stays(
    database: Database, tmp_path: Path
) -> None:
    saved = tmp_path / "heads"
    for text in (None, "of another database"):
        if text is not None:
            saved.write_text(text)
        status, lines, errors = command(database.direct_url, "--save", str(saved))
        assert (status, errors) == (0, "")
        assert lines == [
            "Entries verified: 0 (tenants: 1). Not chained yet: 1.",
            "No entry is chained yet, so there are no heads to save.",
        ]
        assert (saved.read_text() if saved.exists() else None) == text


def test_a_late_entry_is_named_and_breaks_nothing(trail: Database) -> None:
    tamper(
        trail,
        "insert into robot_brain.audit_logs (tenant_id, table_name, record_id, action, created_at)"
        " values ('local', 'sessions', 's', 'ERASE', '2026-01-01')",
    )
    line = "'local': entries over an hour older than the one before: 1, first: {}"
    last = "Entries verified: {} (tenants: 3). Not chained yet: {}."
    assert command(trail.direct_url) == (0, [line.format("not chained yet"), last.format(7, 1)], "")
    chained(trail)
    assert command(trail.direct_url) == (0, [line.format("entry 4"), last.format(8, 0)], "")


def test_make_passes_on_the_files_of_the_heads(trail: Database, tmp_path: Path) -> None:
    saved = tmp_path / "the heads"
    for variable in ("SAVE", "HEADS"):
        process = subprocess.Popen(
            ["make", "--no-print-directory", "ops", "DO=audit-verify", f"{variable}={saved}", f"RUN={sys.executable}"],
            cwd=ROOT,
            env={"PATH": os.environ.get("PATH", os.defpath), "DIRECT_DATABASE_URL": trail.direct_url},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        out, errors = outputs_of(process)
        assert process.returncode == 0, errors
        assert out.splitlines()[-1] == (
            f"Saved the heads to {saved}."
            if variable == "SAVE"
            else "Entries verified: 7 (tenants: 3). Not chained yet: 0."
        )
    assert {tenant: head.n for tenant, head in read_heads(saved).items()} == {"*": 1, "local": 3, "other": 3}


def test_on_a_terminal_the_verification_prints_a_line_for_each_part(trail: Database) -> None:
    ours, terminal = os.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops", "audit-verify"],
            cwd=ROOT,
            env={"PATH": os.environ.get("PATH", os.defpath), "DIRECT_DATABASE_URL": trail.direct_url},
            stdout=subprocess.PIPE, stderr=terminal, text=True,
        )  # fmt: skip
        outputs_of(process)
        lines = os.read(ours, 65536).decode().splitlines()
    finally:
        os.close(terminal)
        os.close(ours)
    assert lines == [f"{tenant!r}: {n} entries verified" for tenant, n in (("*", 1), ("local", 3), ("other", 3))]


@pytest.mark.parametrize(
    "text",
    ["", "x", "[]", "{}", '{"tenant": "a", "n": 1}', '{"tenant": "a", "n": 1, "hash": "zz"}', "null",
     '{"tenant": "a", "n": "x", "hash": "00"}', '{"tenant": ["a"], "n": 1, "hash": "00"}',
     '{"tenant": "a", "n": 1, "hash": "00"}\n' * 2],
)  # fmt: skip
def test_a_file_without_heads_is_refused(database: Database, tmp_path: Path, text: str) -> None:
    path = tmp_path / "heads"
    path.write_text(text)
    with pytest.raises(MigrationError):
        read_heads(path)


def test_heads_are_read_as_they_were_written(database: Database, tmp_path: Path) -> None:
    heads = {"*": Head(1, b"\0" * 32), "a tenant\n": Head(2**62, bytes(range(32))), "é": Head(7, b"x" * 32)}
    write_heads(tmp_path / "heads", heads)
    assert read_heads(tmp_path / "heads") == heads
    with pytest.raises(MigrationError, match="Cannot write"):
        write_heads(tmp_path / "missing" / "heads", heads)
    with pytest.raises(MigrationError, match="Cannot read"):
        read_heads(tmp_path / "missing")
