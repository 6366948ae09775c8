"""Read the URL of a PostgreSQL server into settings for asyncpg.

The only I/O is reading a CA's file.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ...errors import ConfigurationError

SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg", "postgres+asyncpg")
_URL = (
    "a PostgreSQL URL looks like postgresql://user:password@host:5432/database;"
    " in user and password : / ? # @ and % are percent-encoded, as urllib.parse.quote(..., safe='') does"
)
_SYNONYMS = {"ssl": "sslmode", "prepared_statement_cache_size": "statement_cache_size"}  # as for SQLAlchemy
_OPTIONS = {"host", "sslmode", "sslrootcert", "statement_cache_size", "application_name", "target_session_attrs"}
_MODES = {"true": "verify-full", "false": "disable"}
_PORT = 5432


class Hidden:
    """A password that no repr shows, as asyncpg asks for it.

    Local variables and settings end up in error reports.
    """

    def __init__(self, password: str) -> None:
        self.__password = password

    def __call__(self) -> str:
        return self.__password

    def __repr__(self) -> str:
        return "<hidden>"


def settings_of(url: str) -> dict[str, Any]:
    """Return the arguments of `asyncpg.connect` for the server of a URL.

    `postgresql://user:password@host:5432/database`, or `postgres://`, or `postgresql+asyncpg://`. Several
    hosts are separated by commas. `?host=/path` is the folder of a Unix socket. `?sslmode=` and
    `?sslrootcert=` are those of libpq. `?statement_cache_size=0` switches prepared statements off.
    """
    try:
        parts = urlsplit(url)
        account, _, place = parts.netloc.rpartition("@")
        hosts, ports = _hosts(place)
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True) if parts.query else []
    except ValueError:
        raise ConfigurationError(_URL) from None
    options = {_SYNONYMS.get(name, name): value for name, value in pairs}
    user, _, password = account.partition(":")
    database = unquote(parts.path.removeprefix("/"))
    if parts.scheme not in SCHEMES or not user or not database or "/" in database or parts.fragment:
        raise ConfigurationError(_URL)
    if unknown := options.keys() - _OPTIONS:
        known = ", ".join(sorted(_OPTIONS))
        raise ConfigurationError(f"a PostgreSQL URL has no option {', '.join(sorted(unknown))}, but {known}")
    if options.get("target_session_attrs", "read-write") not in ("read-write", "primary"):
        raise ConfigurationError("sessions need the primary: leave target_session_attrs out of the URL")
    folder = options.get("host")
    return {
        "host": [folder] if folder else hosts,
        "port": [ports[0]] if folder else ports,
        "user": unquote(user),
        "password": Hidden(unquote(password)) if password else None,
        "database": database,
        "ssl": _tls(options),
        "target_session_attrs": "read-write",
        **_cache_size(options),
        **_application(options),
    }


def address_of(settings: Mapping[str, Any]) -> str:
    """Return the server's name for messages, without account and password."""
    places = [
        host if host.startswith("/") else f"{host}:{port}"
        for host, port in zip(settings["host"], settings["port"], strict=True)
    ]
    return f"PostgreSQL at {','.join(places)}"


def migrate_command(settings: Mapping[str, Any] | None = None) -> str:
    """Return the command that makes the table.

    Its URL has everything but account and password.
    """
    if settings is None or settings["host"][0].startswith("/"):
        return "sessions-ext migrate postgresql://USER:PASSWORD@HOST/DATABASE"
    place = address_of(settings).removeprefix("PostgreSQL at ")
    return f"sessions-ext migrate postgresql://USER:PASSWORD@{place}/{settings['database']}"


def _hosts(place: str) -> tuple[list[str], list[int]]:
    """Return hosts and ports. Raise ValueError for a port that is no number."""
    hosts, ports = [], []
    for one in place.split(","):
        parts = urlsplit(f"//{one}")
        hosts.append(parts.hostname or "localhost")
        ports.append(parts.port or _PORT)
    return hosts, ports


def _cache_size(options: Mapping[str, str]) -> dict[str, int]:
    if "statement_cache_size" not in options:
        return {}
    if not options["statement_cache_size"].isdecimal():
        raise ConfigurationError("statement_cache_size in a PostgreSQL URL is a number; 0 is for PgBouncer")
    return {"statement_cache_size": int(options["statement_cache_size"])}


def _application(options: Mapping[str, str]) -> dict[str, Any]:
    return (
        {"server_settings": {"application_name": options["application_name"]}} if "application_name" in options else {}
    )


def _tls(options: Mapping[str, str]) -> ssl.SSLContext | str:
    """Return asyncpg's value for TLS, by the rules of libpq.

    `require` checks the certificate if a CA is named.
    """
    authority = options.get("sslrootcert")
    mode = options.get("sslmode", "prefer" if authority is None else "verify-full")
    mode = _MODES.get(mode, mode)
    if mode in ("disable", "allow", "prefer") and authority is None:
        return mode
    if mode not in ("require", "verify-ca", "verify-full"):
        raise ConfigurationError(
            "sslmode in a PostgreSQL URL is disable, allow, prefer, require, verify-ca or verify-full;"
            " the first three check no certificate and go without sslrootcert"
        )
    try:
        context = ssl.create_default_context(cafile=None if authority == "system" else authority)
    except OSError as error:
        raise ConfigurationError(f"sslrootcert can't be read: {error}") from None
    context.check_hostname = mode == "verify-full"
    if mode == "require" and authority is None:
        context.verify_mode = ssl.CERT_NONE
    return context
