"""CONTRIBUTING.md, CHANGELOG.md and docs/architecture.md name what is there."""

from __future__ import annotations

import re
import tomllib

from ..support import pages

CONTRIBUTING = (pages.ROOT / "CONTRIBUTING.md").read_text()
ARCHITECTURE = (pages.DOCS / "architecture.md").read_text()
PACKAGE = pages.ROOT / "starlette_sessions_ext"


def test_the_scripts_and_folders_exist() -> None:
    for script in set(re.findall(r"scripts/([a-z-]+)", CONTRIBUTING)):
        assert (pages.ROOT / "scripts" / script).is_file(), script
    for folder in re.findall(r"^\| `([a-z_]+)/` \|", CONTRIBUTING, flags=re.MULTILINE):
        assert (pages.ROOT / folder).is_dir(), folder


def test_the_layers_are_those_of_the_import_contract() -> None:
    contracts = tomllib.loads((pages.ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [one["layers"] for one in contracts if one.get("containers") == ["starlette_sessions_ext"]]
    table = pages.sections(ARCHITECTURE)["Layers"]
    rows = [re.findall(r"`(\w+)`", row) for row in re.findall(r"^\| [^|]+ \| (`[^|]+) \|", table, flags=re.MULTILINE)]
    assert rows == [layer.split(" | ") for layer in layers]


def test_the_picture_shows_the_same_modules() -> None:
    picture = (pages.DOCS / "layers.svg").read_text()
    shown = set(re.findall(r"[a-z_]+", " ".join(re.findall(r'preserve">([^<]+)<', picture))))
    table = pages.sections(ARCHITECTURE)["Layers"]
    modules = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| [^|]+ \| (`[^|]+) \|", table, flags=re.MULTILINE))))
    assert shown == modules - {"__main__"}


def test_the_files_of_the_architecture_exist() -> None:
    for path in set(re.findall(r"`((?:_core|_http|stores)/\w+\.py)`", ARCHITECTURE)):
        assert (PACKAGE / path).is_file(), path
    for path in set(re.findall(r"`(tests/[\w/]+\.py)`", ARCHITECTURE)):
        assert (pages.ROOT / path).is_file(), path


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    changelog = (pages.ROOT / "CHANGELOG.md").read_text()
    for version, text in pages.sections(changelog).items():
        assert re.fullmatch(r"Unreleased|\d+\.\d+\.\d+ - \d{4}-\d{2}-\d{2}", version), version
        kinds = re.findall(r"^### (.+)$", text, flags=re.MULTILINE)
        order = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
        assert kinds == [kind for kind in order if kind in kinds], version
        for kind, lines in re.findall(r"^### (.+)\n\n(.*?)(?=^### |\Z)", text, flags=re.MULTILINE | re.DOTALL):
            assert all(line.startswith(("- ", "  ")) for line in lines.strip().splitlines()), kind


def test_every_test_id_can_be_looked_up() -> None:
    page = (pages.DOCS / "requirements.md").read_text()
    rows = dict(re.findall(r"^\| ([A-Z]\d+) \| .+ \| ([^|]+) \|$", page, flags=re.MULTILINE))
    used = dict[str, set[str]]()
    for folder in ("tests", "chaos"):
        for path in (pages.ROOT / folder).rglob("test_*.py"):
            for name in re.findall(r"def test_([A-Z]\d+)_", path.read_text()):
                used.setdefault(name, set()).add(path.relative_to(pages.ROOT).as_posix())
    assert used.keys() <= rows.keys()
    for name, cell in rows.items():
        named = set(re.findall(r"`(.+?)`", cell))
        assert all((pages.ROOT / path).is_file() for path in named), name
        assert not used.get(name) or named <= used[name], name
