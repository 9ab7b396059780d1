"""The address of a store: one line of configuration, read once.

    sqlite:///FILE                    relative to the working directory; everything behind the third slash is the path
    sqlite:////ABSOLUTE/FILE
    postgresql://[USER[:PASSWORD]@][HOST[:PORT]]/DATABASE[?sslmode=verify-full&...]    parameters of libpq

An Address prints without password and parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from gateway.errors import PostureStoreError

_SQLITE = "sqlite:///"
_POSTGRESQL = "postgresql://"
_EXPECTED = "sqlite:///FILE, sqlite:////ABSOLUTE/FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
_SECRET_PARAMETERS = ("password", "sslpassword", "passfile")


@dataclass(frozen=True, slots=True)
class Address:
    """url: as the engine takes it; file: of SQLite, absolute, None for PostgreSQL; secrets: what no error may show."""

    shown: str
    url: URL = field(repr=False)
    file: Path | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return self.shown

    def hide(self, text: str) -> str:
        """The text with `***` for each secret of the address."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def parse_address(url: str) -> Address:
    """Raises PostureStoreError, whose text shows nothing of what was given."""
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        file = Path(url.removeprefix(_SQLITE)).absolute()
        return Address(f"{_SQLITE}{file}", URL.create("sqlite+pysqlite", database=str(file)), file)
    if not url.startswith(_POSTGRESQL):
        raise PostureStoreError(f"the store's address: expected {_EXPECTED}")
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # a port that is no number: it may be a part of the password
        raise PostureStoreError(f"the store's address cannot be read: expected {_EXPECTED}") from None
    if not parsed.database:
        raise PostureStoreError(f"the store's address names no database: expected {_EXPECTED}")
    secrets = [parsed.password, *(value for key, value in parsed.query.items() if key in _SECRET_PARAMETERS)]
    shown = URL.create(
        "postgresql", parsed.username, None, parsed.host, parsed.port, parsed.database
    ).render_as_string()
    hidden = tuple(secret for secret in secrets if isinstance(secret, str) and secret)
    return Address(shown, parsed.set(drivername="postgresql+psycopg"), None, hidden)
