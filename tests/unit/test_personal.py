"""What describes a person: hashes of passwords, URLs of pictures and e-mails in bodies, and the key of an e-mail."""

import json

import pytest

from robot_brain.bodies import user
from robot_brain.errors import InvalidRequestError
from robot_brain.limits import MAX_PASSWORD_HASH_LENGTH, MAX_PERSON_NAME_LENGTH, MAX_URL_LENGTH
from tests.support.bundle import Json

HASHES = [
    "$argon2id$v=19$m=65536,t=3,p=4$gZiV/M1gPc22ElAH/Jh1Hw$CWOrkoo7oJBQ/iyh7uJ0LO2aLEfrHwTWllSAxT0zRno",
    "$argon2i$v=19$m=16,t=2,p=1$MTIzNDU2Nzg$qWIcNhVwNcDAQFpo8Tvzug",
    "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
    "$pbkdf2-sha256$29000$9t7be09prfXee2/NOUeotQ$Y.RDnnq8vsezSZSKy1QNy6xhKPdoBIwc.0XDdRm9sJ8",
    "$pbkdf2-sha512$i=210000$c2FsdA$aGFzaA",
    "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
    "$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
    "$6$rounds=5000$usesomesillystri$D4IrlXatmP7rx3P3InaxBeoomnAihCKRVQAr/36eKMTrQX0p",
    "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7",
]
NO_HASHES = [
    *("", "$", "$$", "$argon2id", "$argon2id$", "correct horse battery staple", "hunter2", "P$ssw$rd", "Passw0rd!"),
    # Django writes no $ in front. A salt or a hash without the name of its algorithm shows nothing.
    *("pbkdf2_sha256$600000$salt$hash", "5f4dcc3b5aa765d61d8327deb882cf99", "{SSHA}c2FsdA=="),
    *("$argon2id$a b", "$argon2id$a\n", "$argon2id$\x00", "$argon2id$\u00e9", "$Argon2id$v=19$x", "$argon2_id$x$y"),
    *("$" + "a" * 33 + "$x", "$argon2id$\ud800", " $2b$12$x", "$2b$12$x "),
]
URLS = [
    "https://example.com/ann.png",
    "http://localhost:8080/a?b=c#d",
    "https://xn--exmple-cua.com/",
    "https://example.com/\u00e4.png",
]
NO_URLS = [
    *("", "ann.png", "//example.com/a", "/ann.png", "https:", "https://", "https:/example.com", "ftp://example.com/a"),
    *("javascript:alert(1)", "JavaScript:alert(1)", "java\nscript:alert(1)", " javascript:alert(1)"),
    *("javascript://example.com/%0aalert(1)", "data:image/png;base64,AAAA", "vbscript:x", "file:///etc/passwd"),
    *("blob:https://example.com/1", "https://a b", "https://a\tb", "https://a\n", "https://a\x00", "https://a\x85"),
    *("https://a\u2028b", "https://\ud800", " https://a", "https://a "),
]


def broken(document: Json) -> list[tuple[list[str | int], str]]:
    """Return the place and the kind of each rule that a body breaks, the same for a new user and for a patch."""
    found: list[list[tuple[list[str | int], str]]] = []
    for judge in (user.content, user.patch):
        try:
            judge(document)
            found.append([])
        except InvalidRequestError as error:
            found.append([(each["loc"], each["type"]) for each in error.errors])
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize("text", HASHES)
def test_a_hash_that_names_its_algorithm_is_accepted(text: str) -> None:
    assert broken({"password_hash": text}) == []


@pytest.mark.parametrize("text", NO_HASHES)
def test_a_password_or_a_hash_that_names_no_algorithm_is_refused(text: str) -> None:
    ((place, kind),) = broken({"password_hash": text})
    assert place == ["body", "password_hash"]
    assert kind == ("string_unicode" if "\ud800" in text else "password_hash")


def test_the_answer_to_a_refused_password_does_not_quote_it() -> None:
    with pytest.raises(InvalidRequestError) as error:
        user.content({"password_hash": "correct horse battery staple"})
    assert "horse" not in json.dumps(error.value.errors)


@pytest.mark.parametrize("text", URLS)
def test_the_url_of_a_picture_on_the_web_is_accepted(text: str) -> None:
    assert broken({"profile": {"avatar_url": text}}) == []


@pytest.mark.parametrize("text", NO_URLS)
def test_a_url_that_runs_code_or_has_no_host_is_refused(text: str) -> None:
    ((place, kind),) = broken({"profile": {"avatar_url": text}})
    assert place == ["body", "profile", "avatar_url"]
    assert kind == ("string_unicode" if "\ud800" in text else "url")


@pytest.mark.parametrize(
    "text", ["", "ann", "a@b@c", "a b@c", "a\x00@c", "a\uff20b@c", "a\u00a8@c", "\u3316" * 100 + "@c"]
)
def test_an_email_without_a_key_is_refused_at_its_place_in_the_body(text: str) -> None:
    assert broken({"email": text}) == [(["body", "email"], "email")]


def test_the_length_of_each_text_is_counted_in_characters() -> None:
    for place, start, most in (
        (("password_hash",), "$6$", MAX_PASSWORD_HASH_LENGTH),
        (("profile", "first_name"), "", MAX_PERSON_NAME_LENGTH),
        (("profile", "last_name"), "", MAX_PERSON_NAME_LENGTH),
        (("profile", "avatar_url"), "https://", MAX_URL_LENGTH),
    ):
        character = "x" if place == ("password_hash",) else "\U0001f916"
        for length in (most, most + 1):
            value: object = start + character * (length - len(start))
            for name in reversed(place):
                value = {name: value}
            assert isinstance(value, dict)
            expected = [] if length == most else [(["body", *place], "string_too_long")]
            assert broken(value) == expected


def test_a_user_without_an_email_has_no_key_and_one_with_an_email_keeps_its_spelling() -> None:
    assert user.content({}) == ("{}", None)
    assert user.content({"email": "Ann@Example.com"}) == ('{"email":"Ann@Example.com"}', "ann@example.com")
    assert user.patch({"email": "Ann@Example.com"})[1] == "ann@example.com"


def test_null_removes_a_member_in_a_patch_only() -> None:
    for document in ({"email": None}, {"password_hash": None}, {"profile": None}, {"profile": {"last_name": None}}):
        assert user.patch(document) == (json.dumps(document, separators=(",", ":")), None)
        with pytest.raises(InvalidRequestError):
            user.content(document)
