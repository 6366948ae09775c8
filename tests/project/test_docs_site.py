"""The built site: it builds without a warning, its links lead somewhere, and its search finds what people type."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest
from lunr import get_default_builder, lunr
from lunr.index import Index

from ..support.pages import DOCS, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SEARCHES = {
    "flash": "flash-messages/",
    "TestClient": "testing/",
    "pydantic": "typed-data/",
    "postgres": "stores/",
    "csrf": "csrf/",
    "logout everywhere": "users/",
    "session fixation": "security/",
    "optimistic locking": "concurrency/",
    "on_event": "events/",
    "gunicorn": "deploy/",
    "remember me": "remember-me/",
    "SessionGone": "errors/",
}
"""What is typed, and a page that has to be among the first five."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment
    )
    assert done.returncode == 0, done.stdout
    return folder


@pytest.fixture(scope="module")
def index(site: Path) -> Index:
    """The index that the site's script makes, of the same words and weights."""
    found: dict[str, Any] = json.loads((site / "search" / "search_index.json").read_text())
    documents = [{**one, "text": re.sub(r"<[^>]+>", " ", one["text"])} for one in found["docs"]]
    weights = [{"field_name": name, "boost": found["config"]["fields"][name]["boost"]} for name in ("title", "text")]
    builder = get_default_builder()
    builder.pipeline.reset()
    builder.search_pipeline.reset()  # the theme leaves words as they are
    return lunr(ref="location", fields=weights, documents=documents, builder=builder)


@pytest.mark.parametrize(("words", "page"), SEARCHES.items())
def test_the_search_finds(index: Index, words: str, page: str) -> None:
    query = " ".join(f"{word}*" for word in words.split())
    places = [urldefrag(found["ref"]).url for found in index.search(query)]
    assert page in list(dict.fromkeys(places))[:5], places


class _Page(HTMLParser):
    """The links and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [value for name in ("href", "src") if (value := values.get(name))]
        self.anchors |= {value for name in ("id", "name") if (value := values.get(name))}


def test_every_link_of_the_site_leads_somewhere(site: Path) -> None:
    pages = {path: _Page(path.read_text()) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) >= len(list(DOCS.glob("*.md")))
    for path, page in pages.items():
        for link in page.links:
            target, anchor = urldefrag(link)
            if re.match(r"\w+:", target):
                continue
            linked = (path.parent / unquote(target)).resolve() if target else path
            linked = linked / "index.html" if linked.is_dir() else linked
            assert linked.is_file(), (path, link)
            assert not anchor or linked not in pages or unquote(anchor) in pages[linked].anchors, (path, link)


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        fetched = re.findall(
            r"<(?:script|img|link rel=.?stylesheet)[^>]*?(?:src|href)=.?(https?:[^ >]+)", path.read_text()
        )
        assert fetched == [], path
        assert 'data-md-component="source"' not in path.read_text(), path  # its script asks the repository's host
