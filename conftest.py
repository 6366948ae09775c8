"""Give tests/ and chaos/ the same fixtures."""

pytest_plugins = ["tests.support.fixtures"]
