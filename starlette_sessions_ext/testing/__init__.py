"""For those who write a store: the test suites that every store has to pass, and what they need.

A store's test file is a fixture:

    class TestMyStore(StoreContract):
        @pytest.fixture
        async def store(self, clock):
            async with MyStore(clock=clock) as store:
                yield store
"""

import pytest

pytest.register_assert_rewrite(f"{__name__}.contract", f"{__name__}.network")

from .clock import FakeClock
from .contract import StoreContract
from .network import NetworkStoreContract
from .proxy import FaultProxy

__all__ = ["FakeClock", "FaultProxy", "NetworkStoreContract", "StoreContract"]
