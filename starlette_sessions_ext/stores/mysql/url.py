"""Read the URL of a MySQL or MariaDB server into settings for asyncmy.

The only I/O is reading a CA's file.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ...errors import ConfigurationError

_URL = (
    "a MySQL URL looks like mysql://user:password@host:3306/database;"
    " in user and password : / ? # @ and % are percent-encoded, as urllib.parse.quote(..., safe='') does"
)
_OPTIONS = {"unix_socket", "charset", "ssl", "ssl_ca"}


class Hidden(bytes):
    """A password that no repr shows.

    Local variables and settings end up in error reports.
    """

    def __repr__(self) -> str:
        return "<hidden>"


def settings_of(url: str) -> dict[str, Any]:
    """Return the arguments of `asyncmy.connect` for the server of a URL.

    `mysql://user:password@host:3306/database`, or `mariadb://`; `?unix_socket=/path` instead of host
    and port; `?ssl=true` or `?ssl_ca=/path/to/ca.pem` for TLS, with the certificate checked.
    """
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)) if parts.query else {}
        port = parts.port or 3306
    except ValueError:
        raise ConfigurationError(_URL) from None
    database = unquote(parts.path.removeprefix("/"))
    if parts.scheme not in ("mysql", "mariadb") or not parts.username or not database or parts.fragment:
        raise ConfigurationError(_URL)
    if unknown := options.keys() - _OPTIONS:
        known = ", ".join(sorted(_OPTIONS))
        raise ConfigurationError(f"a MySQL URL has no option {', '.join(sorted(unknown))}, but {known}")
    if options.get("charset", "utf8mb4") != "utf8mb4":
        raise ConfigurationError("a DatabaseStore's connections speak utf8mb4: leave charset out of the URL")
    return {
        "host": parts.hostname or "localhost",
        "port": port,
        "unix_socket": options.get("unix_socket"),
        "user": unquote(parts.username),
        "password": Hidden(unquote(parts.password or "").encode()),  # a str would be sent in Latin-1
        "database": database,
        "charset": "utf8mb4",
        "ssl": _tls(options),
    }


def address_of(settings: Mapping[str, Any]) -> str:
    """Return the server's name for messages, without account and password."""
    return f"MySQL at {settings['unix_socket'] or '{host}:{port}'.format_map(settings)}"


def migrate_command(settings: Mapping[str, Any] | None = None) -> str:
    """Return the command that makes the tables.

    Its URL has everything but account and password.
    """
    if settings is None or settings["unix_socket"]:
        return "sessions-ext migrate mysql://USER:PASSWORD@HOST/DATABASE"
    return "sessions-ext migrate mysql://USER:PASSWORD@{host}:{port}/{database}".format_map(settings)


def _tls(options: dict[str, str]) -> ssl.SSLContext | None:
    if options.get("ssl", "true") not in ("true", "false"):
        raise ConfigurationError("ssl in a MySQL URL is true or false")
    if options.get("ssl", "true" if "ssl_ca" in options else "false") == "false":
        return None
    try:
        return ssl.create_default_context(cafile=options.get("ssl_ca"))
    except OSError as error:
        raise ConfigurationError(f"ssl_ca can't be read: {error}") from None
