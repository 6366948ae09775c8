"""PHP's session settings, under the names that php.ini has for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, get_args

from ..errors import ConfigurationError
from .codec import Format

PHP_LIFETIME = 1440
"""Seconds: PHP's default for `session.gc_maxlifetime`."""
_NAME = re.compile(r"[^=,;.\[ \t\r\n\v\f\0]+")
_SAME_SITES = ("", "lax", "strict", "none")


@dataclass(frozen=True, kw_only=True)
class PHPSettings:
    """The settings `session.*` of a PHP application, with PHP's own defaults.

    Times are seconds.

    Raises `ConfigurationError`, naming the setting, for what PHP wouldn't take.
    """

    name: str = "PHPSESSID"
    serialize_handler: Format = "php"
    gc_maxlifetime: int = PHP_LIFETIME
    """How long a session lives without use."""
    cookie_lifetime: int = 0
    """How long the cookie lives; 0: until the browser closes."""
    cookie_path: str = "/"
    cookie_domain: str = ""
    cookie_secure: bool = False
    cookie_httponly: bool = False
    cookie_samesite: str = ""
    sid_length: int = 32
    """Characters of a new id. Debian's php.ini has 26."""
    sid_bits_per_character: int = 4
    """Debian's php.ini has 5."""

    def __post_init__(self) -> None:
        for setting, lowest, highest in (
            ("gc_maxlifetime", 1, 2**31 - 1),
            ("cookie_lifetime", 0, 2**31 - 1),
            ("sid_length", 22, 256),
            ("sid_bits_per_character", 4, 6),
        ):
            _check_int(setting, getattr(self, setting), lowest, highest)
        for setting in ("name", "cookie_path", "cookie_domain", "cookie_samesite"):
            if not isinstance(getattr(self, setting), str):
                raise ConfigurationError(f"{setting} must be a str, as php.ini has it")
        if _NAME.fullmatch(self.name) is None or self.name.isdecimal():
            raise ConfigurationError("name can't be a number, or hold white space or one of =,;.[, as in PHP")
        for setting in ("cookie_secure", "cookie_httponly"):
            if not isinstance(getattr(self, setting), bool):
                raise ConfigurationError(f"{setting} must be True or False")
        if self.cookie_samesite.lower() not in _SAME_SITES:
            raise ConfigurationError("cookie_samesite must be Lax, Strict, None as a str, or empty")
        if self.serialize_handler not in get_args(Format):
            raise ConfigurationError(f"serialize_handler must be one of {', '.join(get_args(Format))}")


def _check_int(setting: str, value: Any, lowest: int, highest: int) -> None:
    if type(value) is not int or not lowest <= value <= highest:
        raise ConfigurationError(f"{setting} must be an int from {lowest} to {highest}, as in PHP")
