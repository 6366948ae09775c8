"""Sessions in the formats of PHP.

The setting `session.serialize_handler` names them php, php_serialize and php_binary.
"""

from __future__ import annotations

from .codec import Format, dumps, loads
from .errors import PHPDecodeError, PHPEncodeError
from .objects import PHPObject
from .settings import PHPSettings

__all__ = ["Format", "PHPDecodeError", "PHPEncodeError", "PHPObject", "PHPSettings", "dumps", "loads"]
