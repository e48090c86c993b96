"""The files of sql/: what each may contain, its size, and the order in which `make migrate` applies them."""

import re
from pathlib import Path

import pytest

from ops.errors import MigrationError
from ops.sql_files import SQL, SqlFile, read_sql

FILES = read_sql()
MAX_LINES = 120


def without_comments(file: SqlFile) -> str:
    """Return the text of the file without its comments."""
    return re.sub(r"--[^\n]*", "", file.text)


def line_count(file: SqlFile) -> int:
    """Return the number of lines of the function, from `create` to its end."""
    text = file.text[file.text.index("create or replace function") :]
    return text.partition("\n\ngrant ")[0].strip().count("\n") + 1


def test_make_migrate_applies_every_file_of_sql_except_from_yoyo_and_rights() -> None:
    found = {path.relative_to(SQL).with_suffix("").as_posix() for path in SQL.rglob("*.sql")}
    assert found == {file.name for file in [*FILES.migrations, *FILES.functions]} | {"from_yoyo", "rights"}


def test_migrations_are_numbered_from_1_without_gaps_or_duplicates() -> None:
    numbers = [re.match(r"migrations/(\d{4})_[a-z0-9_]+$", file.name) for file in FILES.migrations]
    assert [int(number[1]) if number else None for number in numbers] == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("file", FILES.migrations, ids=lambda file: file.name)
def test_a_migration_creates_no_function(file: SqlFile) -> None:
    assert not re.search(r"create\s+(or\s+replace\s+)?(function|procedure)", without_comments(file), re.IGNORECASE)


@pytest.mark.parametrize("file", FILES.functions, ids=lambda file: file.function)
def test_a_file_of_functions_creates_only_the_function_whose_name_it_has(file: SqlFile) -> None:
    created = re.findall(r"create (?:or replace )?(?:function|procedure) ([\w.]+)", without_comments(file))
    assert created == [file.function]


@pytest.mark.parametrize("file", FILES.functions, ids=lambda file: file.function)
def test_a_file_of_functions_begins_with_a_comment_and_the_functions_owner(file: SqlFile) -> None:
    assert re.match(r"(--( [^\n]+)?\n)+set local role robot_brain_(audit|owner|search|stats);\n\n", file.text)


@pytest.mark.parametrize("file", FILES.functions, ids=lambda file: file.function)
def test_an_sql_function_has_at_most_120_lines(file: SqlFile) -> None:
    assert line_count(file) <= MAX_LINES


def test_each_sql_function_is_applied_after_those_that_it_calls() -> None:
    place = {file.function: number for number, file in enumerate(FILES.functions)}
    for file in FILES.functions:
        for name in re.findall(r"\brobot_brain(?:_api)?\.\w+(?=\()", without_comments(file)):
            if name in place and name != file.function:
                assert place[name] < place[file.function], f"{file.function} calls {name}"


def order_of(tmp_path: Path, **functions: str) -> list[str]:
    """Write functions with these texts into a folder. Return their names in the order in which they are applied."""
    folder = tmp_path / "functions" / "robot_brain"
    folder.mkdir(parents=True)
    for name, text in functions.items():
        (folder / f"{name}.sql").write_text(text)
    return [file.function.removeprefix("robot_brain.") for file in read_sql(tmp_path).functions]


def test_a_function_name_in_a_comment_is_no_call(tmp_path: Path) -> None:
    assert order_of(tmp_path, a="-- as robot_brain.b() does\nselect 1", b="select robot_brain.a()") == ["a", "b"]


def test_an_sql_function_may_call_itself(tmp_path: Path) -> None:
    assert order_of(tmp_path, a="select robot_brain.a()") == ["a"]


def test_the_error_about_functions_that_call_each_other_names_them(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match=r"robot_brain\.a.*robot_brain\.b|robot_brain\.b.*robot_brain\.a"):
        order_of(tmp_path, a="select robot_brain.b()", b="select robot_brain.a()")


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("", []),
        ("-- nothing; at all\n;;\n", []),
        ("select 1; select 2", ["select 1", "select 2"]),
        ("select ';'; select 'it''s; so';", ["select ';'", "select 'it''s; so'"]),
        ('select 1 as "a;b";', ['select 1 as "a;b"']),
        ("do $$ begin perform 1; commit; end $$; select 2;", ["do $$ begin perform 1; commit; end $$", "select 2"]),
        ("do $a$ x; $$ y; $$ z; $a$; select 2", ["do $a$ x; $$ y; $$ z; $a$", "select 2"]),
        ("select 1 -- one; or 'two\n; /* three; */ select 4;", ["select 1 -- one; or 'two", "/* three; */ select 4"]),
        ("select $1; select 2", ["select $1", "select 2"]),
    ],
)
def test_a_text_is_split_only_at_semicolons_that_end_a_statement(text: str, statements: list[str]) -> None:
    assert SqlFile("migrations/0002_x", text).statements() == statements


@pytest.mark.parametrize(
    ("text", "outside"),
    [
        ("-- An index.\n-- outside a transaction\n\ncreate index ...", True),
        ("\n-- outside a transaction\nselect 1;", True),
        ("-- This runs outside a transaction.\nselect 1;", False),
        ("select 1;\n-- outside a transaction\n", False),
    ],
)
def test_only_a_whole_comment_line_before_the_first_statement_means_outside_a_transaction(
    text: str, outside: bool
) -> None:
    assert SqlFile("migrations/0002_x", text).runs_outside is outside
