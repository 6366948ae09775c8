"""Tools for tests of applications, and the contract that every store has to pass.

A test of an application fills its client's session, or signs a user in:

    with session_of(client) as session:
        session["cart"] = ["tea"]
    sign_in(client, 42)

A store's test file is a fixture. The contracts need pytest, and nothing else here does:

    class TestMyStore(StoreContract):
        @pytest.fixture
        async def store(self, clock):
            async with MyStore(clock=clock) as store:
                yield store
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .client import session_of, sign_in, sign_in_async
from .clock import FakeClock
from .proxy import FaultProxy

if TYPE_CHECKING:
    from .contract import StoreContract
    from .network import NetworkStoreContract

__all__ = [
    "FakeClock",
    "FaultProxy",
    "NetworkStoreContract",
    "StoreContract",
    "session_of",
    "sign_in",
    "sign_in_async",
]


def __getattr__(name: str) -> Any:
    """Import the contracts, and with them pytest, when they are asked for."""
    if name not in ("StoreContract", "NetworkStoreContract"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import pytest

    if f"{__name__}.contract" not in sys.modules:
        pytest.register_assert_rewrite(f"{__name__}.contract", f"{__name__}.network")
    from .contract import StoreContract
    from .network import NetworkStoreContract

    return {"StoreContract": StoreContract, "NetworkStoreContract": NetworkStoreContract}[name]
