"""The key of an e-mail: equal for all spellings of one address, and refused for what is no address."""

import string
import unicodedata
from typing import Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from robot_brain.bodies.email import email_key
from robot_brain.errors import InvalidRequestError
from robot_brain.limits import MAX_EMAIL_KEY_BYTES, MAX_EMAIL_LENGTH

# Python has no upper case that leads back from these: the dotless i, and the Greek iota below a letter.
_NO_WAY_BACK = ("\u0131", "\u0345")
_CHARACTERS = st.characters(exclude_categories=["C", "Z"], exclude_characters="@")
_FORMS: tuple[Literal["NFC", "NFD", "NFKC", "NFKD"], ...] = ("NFC", "NFD", "NFKC", "NFKD")
_LOCAL = st.text(_CHARACTERS, min_size=1, max_size=12)


def key(email: str) -> str:
    """Return the key of an e-mail."""
    return email_key(email, ["query", "email"])


def key_of_any(email: str) -> str:
    """Return the key of an e-mail. Skip the example if its key is no address, as that of a full-width @."""
    try:
        return key(email)
    except InvalidRequestError:
        assume(False)
        raise


@given(_LOCAL, _LOCAL)
def test_the_key_of_a_key_is_the_key_itself(local: str, domain: str) -> None:
    found = key_of_any(f"{local}@{domain}")
    assert key(found) == found


@given(_LOCAL, st.sampled_from(_FORMS))
def test_every_normal_form_of_an_email_has_the_same_key(
    local: str, form: Literal["NFC", "NFD", "NFKC", "NFKD"]
) -> None:
    email = f"{local}@example.com"
    assert key_of_any(email) == key(unicodedata.normalize(form, email))


@given(_LOCAL)
def test_an_email_in_upper_and_in_lower_case_has_the_same_key(local: str) -> None:
    assume(not any(each in unicodedata.normalize("NFKD", local.lower()) for each in _NO_WAY_BACK))
    email = f"{local}@example.com"
    assert key_of_any(email) == key(email.upper()) == key(email.lower())


@pytest.mark.parametrize("character", [*string.ascii_letters, *"äéß\u1e9e\u03c3\u03c2\u03a3Ωﬁ\u0130"])
def test_a_letter_of_any_case_has_the_same_key(character: str) -> None:
    variants = {character, character.upper(), character.lower(), character.title(), character.casefold()}
    assert len({key(f"a{each}b@example.com") for each in variants}) == 1


@pytest.mark.parametrize(
    ("email", "expected"),
    [
        ("Ann@Example.COM", "ann@example.com"),
        ("\uff21nn@example.com", "ann@example.com"),
        ("stra\u00dfe@example.com", "strasse@example.com"),
        ("e\u0301@example.com", "\u00e9@example.com"),
        ("ann+tag@example.com", "ann+tag@example.com"),
        ("a.b@example.com", "a.b@example.com"),
        ('"a..b"@[127.0.0.1]', '"a..b"@[127.0.0.1]'),
        ("a@b", "a@b"),
    ],
)
def test_these_emails_have_these_keys(email: str, expected: str) -> None:
    assert key(email) == expected


@pytest.mark.parametrize(
    "email",
    [
        *("", "ann", "@", "ann@", "@example.com", "a@b@c", "a@@b", "ann@example.com\n"),
        *("a b@example.com", "ann@exam ple.com", " ann@example.com", "ann@example.com ", "a\u00a0b@example.com"),
        *("a\x00@example.com", "a\x1f@example.com", "a\x7f@example.com", "a\x85@example.com", "a\u2028@example.com"),
        *("\ud800@example.com", "ann@\udfff", "\ud83d\ude00@example.com"),
        # Invisible characters: a zero-width space, a bidirectional override, a soft hyphen, an unassigned one.
        *("a\u200b@example.com", "ann@example.com\u200b", "a\u202eb@example.com", "a\u00adb@example.com", "a@\u0378"),
        # NFKC makes an @ of a full-width or a small one, and a space of a lonely accent.
        *("ann\uff20example.com", "a\uff20b@example.com", "a\ufe6bb@example.com", "a\u00a8b@example.com"),
    ],
)
def test_what_is_no_email_has_no_key(email: str) -> None:
    with pytest.raises(InvalidRequestError) as error:
        key(email)
    assert [(each["loc"], each["type"]) for each in error.value.errors] == [(["query", "email"], "email")]


def test_an_email_has_at_most_254_characters() -> None:
    end = "@example.com"
    longest = "x" * (MAX_EMAIL_LENGTH - len(end)) + end
    assert key(longest) == longest
    with pytest.raises(InvalidRequestError):
        key("x" + longest)


def test_a_key_has_at_most_1500_bytes_even_if_folding_makes_an_email_longer() -> None:
    # One character, of which NFKC makes six with 18 bytes.
    long = "\u3316" * (MAX_EMAIL_KEY_BYTES // 18) + "@x"
    assert MAX_EMAIL_KEY_BYTES - 18 < len(key(long).encode()) <= MAX_EMAIL_KEY_BYTES
    assert len(long) < MAX_EMAIL_LENGTH
    with pytest.raises(InvalidRequestError):
        key("\u3316" + long)


@given(st.text(max_size=300))
def test_every_text_has_a_key_within_its_limit_or_is_refused(text: str) -> None:
    try:
        found = key(text)
    except InvalidRequestError:
        return
    assert len(found.encode()) <= MAX_EMAIL_KEY_BYTES
    assert found.count("@") == 1
    assert not any(each.isspace() for each in found)
