"""What people install and import."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import starlette_sessions_ext as package
from starlette_sessions_ext import errors
from starlette_sessions_ext.stores import mysql, postgresql
from starlette_sessions_ext.stores._support import driver_versions
from starlette_sessions_ext.stores._support.driver_versions import MINIMUM_VERSIONS

from ..support.pages import links

pytestmark = pytest.mark.timeout(300)  # to build a wheel, the build backend may have to be fetched

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "starlette_sessions_ext"
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

WITHOUT_DRIVERS = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        drivers = {"redis", "hiredis", "asyncmy", "asyncpg", "motor", "pymongo", "bson", "cryptography"}
        if name.partition(".")[0] in drivers | {"fastapi", "opentelemetry", "pytest"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Block())
"""


def python(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in another interpreter in which no driver is installed."""
    command = [sys.executable, "-W", "error", *options, "-c", WITHOUT_DRIVERS + code]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_the_package_needs_no_driver() -> None:
    done = python(
        "from starlette_sessions_ext import SessionMiddleware, MemoryStore, SQLiteStore\n"
        "SessionMiddleware(None, 'a secret of more than 16 bytes', store=MemoryStore())\n"
        "SQLiteStore('sessions.db')\n"
        "print('done')"
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (" import RedisStore", 'RedisStore needs redis-py: pip install "starlette-sessions-ext[redis]"'),
        (" import DatabaseStore", 'DatabaseStore needs asyncmy: pip install "starlette-sessions-ext[mysql]"'),
        (" import PostgreSQLStore", 'PostgreSQLStore needs asyncpg: pip install "starlette-sessions-ext[postgresql]"'),
        (" import MongoStore", 'MongoStore needs motor or pymongo: pip install "starlette-sessions-ext[mongo]"'),
        (
            " import EncryptedStore",
            'EncryptedStore needs cryptography: pip install "starlette-sessions-ext[encryption]"',
        ),
        (".stores.mysql import migrations", 'the migrations need asyncmy: pip install "starlette-sessions-ext[mysql]"'),
        (
            ".stores.postgresql import migrations",
            'the migrations need asyncpg: pip install "starlette-sessions-ext[postgresql]"',
        ),
    ],
)
def test_what_needs_a_driver_says_what_to_install(what: str, message: str) -> None:
    done = python(f"from starlette_sessions_ext{what}")
    assert done.stderr.splitlines()[-1] == f"ImportError: {message}"


@pytest.mark.parametrize(
    ("driver", "store"),
    [
        ("asyncmy", "DatabaseStore"),
        ("asyncpg", "PostgreSQLStore"),
        ("pymongo", "MongoStore"),
        ("redis", "RedisStore"),
    ],
)
def test_P9_a_driver_that_is_too_old_is_refused(driver: str, store: str) -> None:
    code = f"""
import importlib.metadata
version = importlib.metadata.version
importlib.metadata.version = lambda name: "0.2.10" if name == {driver!r} else version(name)
from starlette_sessions_ext import {store}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: {driver} 0.2.10 is too old")
    assert "pip install --upgrade" in last


def test_P9_a_driver_is_told_to_be_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_versions, "version", lambda name: "0.2.10")
    with pytest.raises(ImportError, match=r"asyncmy 0\.2\.10 is too old, 0\.2\.18 is the first"):
        driver_versions.check_version("asyncmy")


def test_P9_the_metadata_asks_for_the_same_versions() -> None:
    for driver, (extra, floor) in MINIMUM_VERSIONS.items():
        least = ".".join(map(str, floor))
        [wanted] = [one for one in EXTRAS[extra] if re.match(rf"{driver}\b", one)]
        assert re.search(rf">={re.escape(least.removesuffix('.0'))}", wanted), wanted


def test_the_fastapi_module_says_what_to_install() -> None:
    done = python("import starlette_sessions_ext.fastapi")
    assert done.stderr.splitlines()[-1] == (
        "ImportError: starlette_sessions_ext.fastapi needs FastAPI: pip install fastapi"
    )


def test_the_opentelemetry_module_says_what_to_install() -> None:
    done = python("import starlette_sessions_ext.opentelemetry")
    assert done.stderr.splitlines()[-1] == (
        "ImportError: starlette_sessions_ext.opentelemetry needs the API of OpenTelemetry: "
        'pip install "starlette-sessions-ext[otel]"'
    )


@pytest.mark.slow
def test_the_extras_named_in_messages_exist(wheel: zipfile.ZipFile) -> None:
    [metadata] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    lines = wheel.read(metadata).decode().splitlines()
    for extra in ("redis", "mysql", "postgresql", "mongo", "encryption", "otel", "all"):
        assert f"Provides-Extra: {extra}" in lines


@pytest.mark.slow
def test_the_migrations_are_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    for name in ("0001_create", "0002_upgrade", "0003_owner", "postgresql/0001_create"):
        inside = wheel.read(f"starlette_sessions_ext/_migrations/{name}.sql")
        assert inside == (ROOT / "migrations" / f"{name}.sql").read_bytes()


def test_every_public_name_is_there_and_in_all() -> None:
    assert sorted(set(package.__all__)) == package.__all__
    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    ours = {name for name, value in vars(package).items() if getattr(value, "__module__", "").startswith(SOURCE.name)}
    assert {name for name in ours if not name.startswith("_")} <= set(package.__all__)


def test_every_exception_is_public_and_one_of_ours() -> None:
    exceptions = {name: value for name, value in vars(errors).items() if isinstance(value, type)}
    assert exceptions.keys() <= set(package.__all__)
    assert all(issubclass(exception, package.SessionError) for exception in exceptions.values())


def test_a_name_that_isnt_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'starlette_sessions_ext' has no attribute 'CookieStore'"):
        package.CookieStore  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(package, "RedisStor")
    assert not hasattr(mysql, "Store")
    assert not hasattr(postgresql, "Store")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built as an installer builds it."""
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(target), str(ROOT)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    [path] = target.iterdir()
    return zipfile.ZipFile(path)


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    files = [path.relative_to(ROOT) for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    info = f"starlette_sessions_ext-{package.__version__}.dist-info/"
    outside = (info, "starlette_sessions_ext/_migrations/")  # the metadata, and what stands at the top level here
    held = [name for name in wheel.namelist() if not name.startswith(outside)]
    assert sorted(held) == sorted([*(path.as_posix() for path in files), "starlette_sessions_ext_pytest.py"])
    assert "starlette_sessions_ext/py.typed" in held
    assert "starlette_sessions_ext/stores/redis/store.py" in held


@pytest.mark.slow
def test_the_package_works_from_the_wheel(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    done = python(f"sys.path.insert(0, {str(tmp_path)!r})\nimport starlette_sessions_ext as p\nprint(p.__file__)", "-P")
    assert done.stdout == f"{tmp_path / SOURCE.name / '__init__.py'}\n", done.stderr


@pytest.mark.slow
def test_the_source_distribution_makes_the_same_wheel(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--outdir", str(tmp_path), str(ROOT)]  # the wheel from the sdist
    done = subprocess.run(build, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    [built], [source] = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", built, source], check=True)
    assert sorted(zipfile.ZipFile(built).namelist()) == sorted(wheel.namelist())
    with tarfile.open(source) as archive:
        top = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    assert {"README.md", "docs", "tests", "scripts", "examples"} <= top
    assert not top & {".ci", ".cache", ".venv", "build"}


@pytest.mark.slow
def test_the_long_description_has_absolute_links_only(wheel: zipfile.ZipFile) -> None:
    [metadata] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    text = wheel.read(metadata).decode()
    found = links(text)
    assert len(found) > 20
    assert [link for link in found if not link.startswith(("https://", "#"))] == []
    assert f"/blob/v{package.__version__}/docs/tutorial.md" in text
