"""The address of a server, as URLs that libpq understands."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode


@dataclass(frozen=True)
class Address:
    """A TCP host, or the folder of a unix socket if `host` starts with a slash. `query` holds libpq's options."""

    host: str
    port: int
    query: Mapping[str, str]

    def url(self, user: str, password: str, dbname: str) -> str:
        """Return postgresql://user:password@host:port/dbname?options. An empty password is left out."""
        login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
        if self.host.startswith("/"):
            query = {"host": self.host, "port": str(self.port), **self.query}
            return f"postgresql://{login}@/{quote(dbname, safe='')}?{urlencode(query, safe='/')}"
        options = f"?{urlencode(self.query, safe='/')}" if self.query else ""
        return f"postgresql://{login}@{self.host}:{self.port}/{quote(dbname, safe='')}{options}"
