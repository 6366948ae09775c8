"""The page "Coming from Phalcon": its PHP and its Python say the same."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi import FastAPI

from starlette_sessions_ext.php import phalcon
from starlette_sessions_ext.php.handlersocket import PHPHandlerSocketStore
from starlette_sessions_ext.php.mongo import PHPMongoStore
from starlette_sessions_ext.php.mysql import PHPDatabaseStore
from starlette_sessions_ext.php.redis import PHPRedisStore

from ..support.pages import DOCS, sections
from ..support.pages import run as run
from ..support.php_process import PHPProcess

SECTIONS = sections((DOCS / "coming-from-phalcon.md").read_text())


def options_of_php(php: PHPProcess, section: str) -> dict[str, Any]:
    """Let PHP read the array that the example gives the adapter; objects of PHP are left out."""
    code = SECTIONS[section].split("```php\n")[1].split("```")[0]
    array = re.search(r"new \w+\((\[\n.*\])\);\n\Z", code.split("$session")[1], flags=re.DOTALL)
    assert array is not None
    result: dict[str, Any] = php.run(f"return {re.sub(r'[$][a-z_>-]+', 'null', array[1])};")
    return {name: value for name, value in result.items() if value is not None}


@pytest.mark.parametrize(
    ("section", "store"),
    [
        ("Database", PHPDatabaseStore),
        ("Mongo", PHPMongoStore),
        ("Redis", PHPRedisStore),
        ("HandlerSocket", PHPHandlerSocketStore),
    ],
)
def test_each_example_of_php_has_its_counterpart(
    run: Any, php: PHPProcess, monkeypatch: pytest.MonkeyPatch, section: str, store: type
) -> None:
    read = getattr(phalcon, section.lower())
    given: list[dict[str, Any]] = []

    def recorded(options: Any, *arguments: Any, **more: Any) -> Any:
        given.append(dict(options))
        return read(options, *arguments, **more)

    monkeypatch.setattr(phalcon, section.lower(), recorded)
    names = run("coming-from-phalcon.md")
    expected = options_of_php(php, section)
    assert given[0].items() >= expected.items()
    assert given[0].keys() - expected.keys() <= {"db", "collection"}  # which are objects in PHP
    assert type(names[section.lower()].store) is store


def test_the_application_starts(run: Any) -> None:
    app = run("coming-from-phalcon.md")["app"]
    assert isinstance(app, FastAPI)
    app.build_middleware_stack()
