"""A user in bodies and in answers, and the path of a user."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import AfterValidator, Field, with_config
from typing_extensions import TypedDict

from contract.values import ANSWER, BODY, PARAMETERS, Time, UserId
from robot_brain.bodies.personal import check_email, check_password_hash, check_url
from robot_brain.limits import (
    MAX_EMAIL_LENGTH,
    MAX_PASSWORD_HASH_LENGTH,
    MAX_PERSON_NAME_LENGTH,
    MAX_URL_LENGTH,
    MAX_VERSION_LENGTH,
)

PersonName = Annotated[str, Field(min_length=1, max_length=MAX_PERSON_NAME_LENGTH, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Email = Annotated[
    str, Field(max_length=MAX_EMAIL_LENGTH, json_schema_extra={"format": "email"}), AfterValidator(check_email)
]
# The patterns show clients what the checks refuse.
PasswordHash = Annotated[
    str,
    Field(max_length=MAX_PASSWORD_HASH_LENGTH, json_schema_extra={"pattern": r"^\$[a-z0-9-]{1,32}\$[\x21-\x7e]{20,}$"}),
    AfterValidator(check_password_hash),
]
Url = Annotated[
    str,
    Field(max_length=MAX_URL_LENGTH, json_schema_extra={"format": "uri", "pattern": "^https?://"}),
    AfterValidator(check_url),
]
# "<version>"
UserTag = Annotated[str, Field(pattern=r'^"[0-9a-f]+"$')]
UserState = Annotated[str, Field(pattern=rf'^"[0-9A-Za-z]{{1,{MAX_VERSION_LENGTH}}}"$')]


@with_config(BODY)
class ProfileContent(TypedDict):
    """The profile of a user."""

    first_name: NotRequired[PersonName]
    last_name: NotRequired[PersonName]
    avatar_url: NotRequired[Url]
    """The URL of a picture, which begins with https:// or http://."""


@with_config(BODY)
class UserContent(TypedDict):
    """A user. Each member may be absent."""

    email: NotRequired[Email]
    """The user's e-mail address. No two users of a tenant have the same one, whatever its case."""
    password_hash: NotRequired[PasswordHash]
    """A password's hash that was made elsewhere, as a PHC string. No answer has it. PUT without it keeps it."""
    profile: NotRequired[ProfileContent]


@with_config(BODY)
class ProfilePatch(TypedDict):
    """What to change of a profile. Null removes a member."""

    first_name: NotRequired[PersonName | None]
    last_name: NotRequired[PersonName | None]
    avatar_url: NotRequired[Url | None]


@with_config(BODY)
class UserPatch(TypedDict):
    """A JSON Merge Patch (RFC 7396) of a user. Null removes a member."""

    email: NotRequired[Email | None]
    password_hash: NotRequired[PasswordHash | None]
    profile: NotRequired[ProfilePatch | None]


@with_config(PARAMETERS)
class UserPath(TypedDict):
    """The path of one user."""

    user_id: UserId
    """What the identity provider calls the person, or an id that POST /users made. An end user may name only itself."""


@with_config(ANSWER)
class Profile(TypedDict):
    """The profile of a user. What was not given is absent."""

    first_name: NotRequired[PersonName]
    last_name: NotRequired[PersonName]
    avatar_url: NotRequired[str]


@with_config(ANSWER)
class User(TypedDict):
    """A user with its profile."""

    id: UserId
    email: NotRequired[str]
    created_at: Time
    updated_at: Time
    """The time of the last change of the user or its profile."""
    profile: Profile


USER = {
    "id": "ann",
    "email": "Ann@example.com",
    "created_at": "2026-11-22T12:00:00.070381Z",
    "updated_at": "2026-11-22T12:00:00.070381Z",
    "profile": {"first_name": "Ann", "last_name": "Lee", "avatar_url": "https://example.com/ann.png"},
}
