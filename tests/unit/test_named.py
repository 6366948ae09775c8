from __future__ import annotations

import pytest

from starlette_sessions_ext.testing._named import named


def test_a_failure_names_the_value() -> None:
    with pytest.raises(pytest.fail.Exception) as caught, named("fine"), named({"a": 1}):
        pytest.fail("no")
    assert caught.value.__notes__ == ["with {'a': 1}", "with 'fine'"]
