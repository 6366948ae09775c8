"""What HandlerSocket's errors mean where the table is PHP's."""

from __future__ import annotations

from ...errors import ConfigurationError
from ...handlersocket import ServerError
from ...stores.handlersocket.errors import ErrorTranslator

_NO_SUCH_TABLE = {"open_table", "fld", "idxnum"}


class PHPErrorTranslator(ErrorTranslator):
    """As `ErrorTranslator`, but a migration is no remedy for a table that PHP uses."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, ServerError) and error.reason in _NO_SUCH_TABLE:
            raise ConfigurationError(
                f"HandlerSocket finds no table {self._table.quoted} with the columns id, modified and data, and an "
                "index on modified: name the table that PHP uses"
            ) from error
        super().__exit__(kind, error, traceback)
