"""One, two and four workers of uvicorn on one store: no request may fail, however many share it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.servers import running

from .http import AppServer, begin_sessions, run_wrk
from .report import Findings, Ratio, Table, Target
from .schedule import Figures, turns
from .services import Services

WORKERS = (1, 2, 4)


class Row(NamedTuple):
    store: str
    requests: str
    workers: int


def measure(services: Services, folder: Path, quick: bool) -> Findings:
    urls = {"SQLite": f"sqlite:///{folder / 'workers.db'}", "Redis": f"{services.redis}/15"}
    apps = {
        (name, count): AppServer(folder, "apps:ours", url, "--workers", str(count))
        for name, url in urls.items()
        for count in WORKERS
    }
    rows = [Row(name, requests, count) for name in urls for requests in ("read", "write") for count in WORKERS]
    figures = Figures[Row]()
    with running(*apps.values()):
        cookies = {which: begin_sessions(app.port) for which, app in apps.items()}
        for turn in turns(rows, 1 if quick else 5, "scale, workers", warm_up=not quick):
            which = turn.row.store, turn.row.workers
            load = run_wrk(apps[which].port, turn.row.requests, cookies[which], 1 if quick else 2, folder)
            rate = load["requests"] / load["microseconds"] * 1e6
            figures.add(turn, rate=rate, p99=load["p99"] / 1000, failed=load["failed"])
    return Findings([_table(rows, figures)], _targets(urls, figures))


def _table(rows: Sequence[Row], figures: Figures[Row]) -> Table:
    head = ("store", "requests", "workers", "requests/s", "p99 ms", "failed", "to 1 worker")
    table = Table("workers", "Workers that share a store", head, "requests/s", ["all of them on one SQLite file"])
    for row in rows:
        measured = (figures.of(row, name) for name in ("rate", "p99", "failed"))
        ratio = Ratio(figures.ratio("rate", row, row._replace(workers=1)))
        table.rows.append((row.store, row.requests, str(row.workers), *measured, ratio))
    return table


def _targets(stores: Iterable[str], figures: Figures[Row]) -> Iterator[Target]:
    for store in stores:
        failed = max(figures.of(Row(store, requests, WORKERS[-1]), "failed").high for requests in ("read", "write"))
        yield Target(f"{WORKERS[-1]} workers on one {store}: no request fails", failed, most=0)
