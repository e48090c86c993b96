"""The HTTP API of template.yaml as the local front needs it: its JWT authorizers and its CORS configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.cloudformation import Resolver, TemplateError

API_TYPE = "AWS::Serverless::HttpApi"
OPEN = "NONE"  # the name of the authorizer of a route that is open to anyone
TOKEN_PLACE = "$request.header.Authorization"
CORS_PROPERTIES = {"AllowOrigins", "AllowMethods", "AllowHeaders", "ExposeHeaders", "MaxAge"}


@dataclass(frozen=True)
class JwtConfiguration:
    """What a JWT authorizer accepts: tokens of one issuer, for at least one of the audiences."""

    issuer: str
    audience: tuple[str, ...]


@dataclass(frozen=True)
class CorsConfiguration:
    """Which pages may call the API, and how. `max_age` is in seconds."""

    origins: tuple[str, ...]
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    max_age: int | None = None


@dataclass(frozen=True)
class HttpApi:
    """The API's JWT authorizers by name, the name of the default authorizer or None, and its CORS or None."""

    authorizers: Mapping[str, JwtConfiguration] = field(default_factory=dict)
    default: str | None = None
    cors: CorsConfiguration | None = None

    def authorizer(self, auth: Any, place: str) -> str | None:
        """Return the name of the authorizer of a route with this `Auth`, or None if the route is open.

        Raises TemplateError if the route needs scopes, which the local stack does not check.
        """
        auth = auth or {}
        if unknown := sorted(set(auth) - {"Authorizer"}):
            raise TemplateError(f"{place}.Auth: the local stack does not support {', '.join(unknown)}")
        name = auth.get("Authorizer", self.default)
        return None if name == OPEN else name


def read_http_api(properties: Mapping[str, Any], resolver: Resolver, place: str) -> HttpApi:
    """Return the API with these properties. Raises TemplateError if the local stack does not support a part."""
    auth = resolver.resolve(properties.get("Auth") or {}, f"{place}.Auth")
    authorizers = {
        name: _jwt_configuration(value, f"{place}.Auth.Authorizers.{name}")
        for name, value in (auth.get("Authorizers") or {}).items()
    }
    cors = resolver.resolve(properties.get("CorsConfiguration"), f"{place}.CorsConfiguration")
    return HttpApi(authorizers, auth.get("DefaultAuthorizer"), cors and _cors(cors, f"{place}.CorsConfiguration"))


def _jwt_configuration(value: Mapping[str, Any], place: str) -> JwtConfiguration:
    jwt = value.get("JwtConfiguration")
    if not isinstance(jwt, dict) or value.get("IdentitySource", TOKEN_PLACE) != TOKEN_PLACE:
        raise TemplateError(f"{place}: the local stack needs JwtConfiguration and the IdentitySource {TOKEN_PLACE}")
    if unknown := sorted(set(value) - {"JwtConfiguration", "IdentitySource"}):
        raise TemplateError(f"{place}: the local stack does not support {', '.join(unknown)}")
    issuer, audience = jwt.get("issuer"), _texts(jwt.get("audience"))
    if not isinstance(issuer, str) or not issuer or not audience:
        raise TemplateError(f"{place}.JwtConfiguration must have an issuer and an audience")
    return JwtConfiguration(issuer, audience)


def _cors(value: Mapping[str, Any], place: str) -> CorsConfiguration:
    if unknown := sorted(set(value) - CORS_PROPERTIES):
        raise TemplateError(f"{place}: the local stack does not support {', '.join(unknown)}")
    age = value.get("MaxAge")
    return CorsConfiguration(
        origins=_texts(value.get("AllowOrigins")),
        methods=_texts(value.get("AllowMethods")),
        headers=_texts(value.get("AllowHeaders")),
        exposed=_texts(value.get("ExposeHeaders")),
        max_age=None if age is None else int(age),
    )


def _texts(value: Any) -> tuple[str, ...]:
    """Return a list of the template as texts. A single text counts as a list of one."""
    return tuple(str(each) for each in (value if isinstance(value, list) else [value] if value else []))
