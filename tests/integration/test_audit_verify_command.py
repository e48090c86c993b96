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
ALONE = "Not compared with kept heads."
HELP = 'What to do: docs/audit.md, "After a broken chain".'
pytestmark = pytest.mark.parametrize("database", ["embedded"], indirect=True)


@pytest.fixture
def trail(database: Database) -> Database:
    """Two chained tenants, and one entry of an operator."""
    fill(database, ["local", "other"], ENTRIES)
    assert chained(database) == 2 * ENTRIES + 1
    return database


def test_a_trail_that_is_right_exits_with_0_and_says_what_is_not_chained_yet(trail: Database) -> None:
    fill(trail, ["local"], 2)
    assert command(trail.direct_url) == (0, ["Entries verified: 7 (chains: 3). Not chained yet: 2.", ALONE], "")


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
        "Entries verified: 5 (chains: 3). Not chained yet: 0.",
        ALONE,
        f"Broken chains: 2. The heads were not saved. {HELP}",
    ]
    assert not saved.exists()


def test_saved_heads_find_a_tenant_that_is_gone(trail: Database, tmp_path: Path) -> None:
    saved = str(tmp_path / "heads")
    assert command(trail.direct_url, "--save", saved) == (
        0, ["Entries verified: 7 (chains: 3). Not chained yet: 0.", ALONE, f"Saved the heads to {saved}."], "",
    )  # fmt: skip
    compared = f"Compared with the heads of {saved} (chains: 3)."
    assert command(trail.direct_url, "--heads", saved) == (
        0, ["Entries verified: 7 (chains: 3). Not chained yet: 0.", compared], "",
    )  # fmt: skip
    for table in ("audit_logs", "audit_heads"):
        tamper(trail, f"delete from robot_brain.{table} where tenant_id = 'other'")
    assert command(trail.direct_url)[0] == 0
    assert command(trail.direct_url, "--heads", saved)[:2] == (
        1,
        [
            f"'other': entry 1 is missing, and the kept head is entry {ENTRIES}",
            "Entries verified: 4 (chains: 3). Not chained yet: 0.",
            compared,
            f"Broken chains: 1. {HELP}",
        ],
    )


def test_without_a_chained_entry_there_are_no_heads_to_save(database: Database, tmp_path: Path) -> None:
    saved = tmp_path / "heads"
    status, lines, errors = command(database.direct_url, "--save", str(saved))
    assert (status, errors) == (0, "")
    assert lines == [
        "Entries verified: 0 (chains: 1). Not chained yet: 1.",
        ALONE,
        "No entry is chained yet, so there are no heads to save.",
    ]
    assert not saved.exists()


def test_kept_heads_are_never_replaced(trail: Database, tmp_path: Path) -> None:
    saved = tmp_path / "heads"
    saved.write_text("of yesterday")
    for more in ([], ["--force"]):
        assert command(trail.direct_url, "--save", str(saved), *more) == (
            1, [], f"{saved} exists, and kept heads are not replaced. Give SAVE= the name of a new file.\n",
        )  # fmt: skip
    assert saved.read_text() == "of yesterday"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--heads="], "HEADS= is empty. Give it the name of a file, or leave it out."),
        (["--heads", " "], "HEADS= is empty. Give it the name of a file, or leave it out."),
        (["--save="], "SAVE= is empty. Give it the name of a file, or leave it out."),
        (["--force"], "FORCE=1 notes breaks in the file of SAVE=. Add SAVE=, or leave FORCE=1 out."),
        (["--dry-run"], "audit-verify never changes the database. Leave DRY_RUN=1 out."),
    ],
    ids=["no file of heads", "a blank", "no file to save to", "FORCE=1 alone", "DRY_RUN=1"],
)
def test_options_that_would_do_nothing_are_refused(database: Database, arguments: list[str], message: str) -> None:
    assert command(database.direct_url, *arguments) == (2, [], f"{message}\n")


def test_a_noted_break_lets_heads_be_saved_and_compared_and_hides_no_other_break(
    trail: Database, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    tamper(trail, "delete from robot_brain.audit_logs where tenant_id = 'local' and n = 2")
    line = "'local': entry 2 is missing"
    entries = "Entries verified: {} (chains: 3). Not chained yet: 0."
    assert command(trail.direct_url, "--save", str(first), "--force") == (
        1,
        [
            line,
            entries.format(5),
            ALONE,
            f"Broken chains: 1. {HELP}",
            f"Saved the heads to {first}. Breaks noted there: 1.",
        ],
        "",
    )
    fill(trail, ["local"], 2)
    chained(trail)
    compared = "Compared with the heads of {} (chains: 3). Breaks noted there: 1."
    assert command(trail.direct_url, "--heads", str(first), "--save", str(second)) == (
        0, [entries.format(7), compared.format(first), f"Saved the heads to {second}. Breaks noted there: 1."], "",
    )  # fmt: skip
    assert command(trail.direct_url)[:2] == (1, [line, entries.format(7), ALONE, f"Broken chains: 1. {HELP}"])
    tamper(trail, "update robot_brain.audit_logs set user_id = 'eve' where tenant_id = 'local' and n = 4")
    status, lines, _ = command(trail.direct_url, "--heads", str(second))
    assert (status, lines[1:]) == (1, [entries.format(6), compared.format(second), f"Broken chains: 1. {HELP}"])
    assert lines[0].startswith("'local': entry 4 (id ")


def test_ten_breaks_of_a_tenant_are_named_and_the_others_counted(trail: Database) -> None:
    fill(trail, ["local"], 30)
    chained(trail)
    tamper(trail, "update robot_brain.audit_logs set user_id = 'eve' where tenant_id = 'local' and n % 2 = 0")
    status, lines, _ = command(trail.direct_url)
    assert status == 1
    assert [line.split(" (")[0] for line in lines[:10]] == [f"'local': entry {n}" for n in range(2, 21, 2)]
    assert lines[10:12] == ["'local': more breaks: 6", "Entries verified: 21 (chains: 3). Not chained yet: 0."]


def test_a_late_entry_is_named_and_breaks_nothing(trail: Database) -> None:
    tamper(
        trail,
        "insert into robot_brain.audit_logs (tenant_id, table_name, record_id, action, created_at)"
        " values ('local', 'sessions', 's', 'ERASE', '2026-01-01')",
    )
    line = "'local': entries over an hour older than the one before: 1, first: {}"
    last = "Entries verified: {} (chains: 3). Not chained yet: {}."
    assert command(trail.direct_url) == (0, [line.format("not chained yet"), last.format(7, 1), ALONE], "")
    chained(trail)
    assert command(trail.direct_url) == (0, [line.format("entry 4"), last.format(8, 0), ALONE], "")


def test_make_passes_on_the_files_of_the_heads(trail: Database, tmp_path: Path) -> None:
    saved = tmp_path / "the owner's $heads"
    in_make = str(saved).replace("$", "$$")
    for variable in ("SAVE", "HEADS"):
        process = subprocess.Popen(
            ["make", "-s", "--no-print-directory", "ops", "DO=audit-verify",
             f"{variable}={in_make}", f"RUN={sys.executable}"],
            cwd=ROOT,
            env={"PATH": os.environ.get("PATH", os.defpath), "DIRECT_DATABASE_URL": trail.direct_url},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        out, errors = outputs_of(process)
        assert process.returncode == 0, errors
        assert out.splitlines()[-1] == (
            f"Saved the heads to {saved}." if variable == "SAVE" else f"Compared with the heads of {saved} (chains: 3)."
        )
    assert {tenant: head.n for tenant, head in read_heads(saved).items()} == {"*": 1, "local": 3, "other": 3}


def test_make_passes_on_an_empty_name_of_a_file_so_that_it_is_refused(trail: Database) -> None:
    process = subprocess.Popen(
        ["make", "--no-print-directory", "ops", "DO=audit-verify", "HEADS=", f"RUN={sys.executable}"],
        cwd=ROOT,
        env={"PATH": os.environ.get("PATH", os.defpath), "DIRECT_DATABASE_URL": trail.direct_url},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    out, errors = outputs_of(process)
    assert process.returncode == 2
    assert out == ""
    assert "HEADS= is empty." in errors


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
    ["x", "[]", "{}", '{"tenant": "a", "n": 1}', '{"tenant": "a", "n": 1, "hash": "zz"}', "null",
     '{"tenant": "a", "n": "x", "hash": "00"}', '{"tenant": ["a"], "n": 1, "hash": "00"}',
     '{"tenant": "a", "n": 1, "hash": "00", "breaks": 1}', '{"tenant": "b", "n": 1, "hash": "00"}'],
)  # fmt: skip
def test_a_line_that_is_no_head_is_refused_with_its_file_its_number_and_what_to_do(
    database: Database, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "heads"
    path.write_text('{"tenant": "b", "n": 1, "hash": "00"}\n' + text)
    with pytest.raises(MigrationError, match=f"^{path}, line 2: .* Use a file that SAVE= has written"):
        read_heads(path)


@pytest.mark.parametrize("content", [b"", b"\xff"], ids=["nothing", "no text"])
def test_a_file_without_heads_is_refused(database: Database, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "heads"
    path.write_bytes(content)
    with pytest.raises(MigrationError, match=f"{path}.* Use a file that SAVE= has written"):
        read_heads(path)


def test_heads_are_read_as_they_were_written(database: Database, tmp_path: Path) -> None:
    heads = {
        "*": Head(1, b"\0" * 32),
        "a tenant\n": Head(2**62, bytes(range(32))),
        "é": Head(7, b"x" * 32, ("entry 3 is missing",)),
    }
    write_heads(tmp_path / "heads", heads)
    assert read_heads(tmp_path / "heads") == heads
    missing = tmp_path / "missing" / "heads"
    with pytest.raises(MigrationError, match=f"Cannot write the heads to {missing}: .*Check SAVE="):
        write_heads(missing, heads)
    with pytest.raises(MigrationError, match=f"Cannot read the kept heads of {missing}: .*leave HEADS= out"):
        read_heads(missing)
