"""The contract of `stores.base`, as a pytest suite.

Subclass `StoreContract` and give it a `store` fixture. Tests are async and run by anyio's pytest
plugin, on the backends that the `anyio_backend` fixture names. Nothing here looks inside a store.
"""

from __future__ import annotations

from .owners import OwnersContract
from .races import RacesContract
from .rows import RowsContract


class StoreContract(RowsContract, RacesContract, OwnersContract):
    """The tests of every store.

    Override `store`, and `advance` where the server has a clock.
    """
