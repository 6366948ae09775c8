"""Spans and counts, read back by the exporters in memory of OpenTelemetry's SDK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv.attributes import db_attributes, error_attributes
from opentelemetry.trace import SpanKind, StatusCode
from starlette.requests import Request

from starlette_sessions_ext import (
    ConfigurationError,
    EncryptedStore,
    EventKind,
    MemoryStore,
    SessionEvent,
    SessionStore,
    SQLiteStore,
    Stored,
    StoreTimeout,
    SupportsOwners,
    store_from_url,
)
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.opentelemetry import EventCounter, TracedStore
from starlette_sessions_ext.stores.base import SupportsListing
from starlette_sessions_ext.testing import FakeClock, StoreContract

from ..support.asyncio_only import anyio_backend as anyio_backend
from ..support.client import Browser, make_app
from ..support.store_wrappers import CountingStore

pytestmark = pytest.mark.anyio

OWNER = "o" * 32


class Spans:
    """A tracer provider, and the spans that it was given."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def taken(self) -> tuple[ReadableSpan, ...]:
        spans = self.exporter.get_finished_spans()
        self.exporter.clear()
        return spans


@pytest.fixture
def spans() -> Spans:
    return Spans()


class Failing(MemoryStore):
    async def load(self, key: str) -> Stored | None:
        raise StoreTimeout(f"canary {key}")


def counts(reader: InMemoryMetricReader) -> dict[Any, int]:
    """The attributes of the one counter, and what it has counted."""
    data = reader.get_metrics_data()
    assert data is not None
    [resource] = data.resource_metrics
    [scope] = resource.scope_metrics
    [metric] = scope.metrics
    assert (scope.scope.name, metric.name, metric.unit) == (
        "starlette_sessions_ext",
        "starlette_sessions_ext.events",
        "{event}",
    )
    points: Any = metric.data.data_points
    return {tuple((point.attributes or {}).items()): point.value for point in points}


class TestContract(StoreContract):
    @pytest.fixture
    async def store(self, clock: FakeClock) -> SessionStore:
        return TracedStore(MemoryStore(clock=clock))


async def test_each_operation_is_a_span(spans: Spans, tmp_path: Path, clock: FakeClock) -> None:
    key, soon = key_of(new_id()), int(clock()) + 60
    async with TracedStore(SQLiteStore(tmp_path / "sessions.db", clock=clock), tracer_provider=spans.provider) as store:
        assert isinstance(store, SupportsOwners)
        assert isinstance(store, SupportsListing)
        assert await store.create(key, b"canary", soon, OWNER)
        row = await store.load(key)
        assert row is not None
        assert await store.replace(key, b"canary 2", soon, row.version, OWNER)
        assert await store.touch(key, soon + 1)
        assert await store.owner_of(key) == OWNER
        assert await store.keys_of(OWNER) == [key]
        assert await store.delete_all_of(OWNER) == 1
        assert not await store.delete(key)
        assert await store.delete_expired() == 0
        assert [one async for one in store.all_keys()] == []
    made = spans.taken()
    operations = ["create", "load", "replace", "touch", "owner_of", "keys_of", "delete_all_of", "delete"]
    operations.append("delete_expired")
    assert [span.name for span in made] == [f"{operation} session" for operation in operations]
    for span, operation in zip(made, operations, strict=True):
        assert span.attributes == {
            db_attributes.DB_OPERATION_NAME: operation,
            db_attributes.DB_SYSTEM_NAME: "sqlite",
        }
        assert (span.kind, span.status.status_code, list(span.events)) == (SpanKind.CLIENT, StatusCode.UNSET, [])
    assert {span.instrumentation_scope and span.instrumentation_scope.name for span in made} == {
        "starlette_sessions_ext"
    }


@pytest.mark.parametrize(
    ("address", "system"),
    [
        ("redis://localhost", "redis"),
        ("mysql://user:password@localhost/app", "mysql"),
        ("postgresql://user:password@localhost/app", "postgresql"),
        ("mongodb://localhost/app", "mongodb"),
        ("handlersocket://:secret@localhost/app/php_session?port_wr=9999&secret_wr=other", "mariadb"),
    ],
)
def test_the_system_is_named(address: str, system: str) -> None:
    assert TracedStore(store_from_url(address))._system == system


async def test_a_system_that_isnt_known_is_left_out(spans: Spans, clock: FakeClock) -> None:
    await TracedStore(MemoryStore(clock=clock), tracer_provider=spans.provider).load(key_of(new_id()))
    [span] = spans.taken()
    assert span.attributes == {"db.operation.name": "load"}


async def test_an_error_is_named_and_says_nothing_else(spans: Spans) -> None:
    key = key_of(new_id())
    with pytest.raises(StoreTimeout):
        await TracedStore(Failing(), tracer_provider=spans.provider).load(key)
    [span] = spans.taken()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes == {
        "db.operation.name": "load",
        error_attributes.ERROR_TYPE: "starlette_sessions_ext.errors.StoreTimeout",
    }
    assert "canary" not in span.to_json()
    assert key not in span.to_json()


async def test_a_cancelled_operation_ends_its_span(spans: Spans) -> None:
    class Waiting(MemoryStore):
        async def load(self, key: str) -> Stored | None:
            await anyio.sleep_forever()
            raise AssertionError

    store = TracedStore(Waiting(), tracer_provider=spans.provider)
    async with anyio.create_task_group() as group:
        group.start_soon(store.load, key_of(new_id()))
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    [span] = spans.taken()
    assert span.status.status_code is StatusCode.UNSET


def test_it_can_do_what_its_store_can() -> None:
    assert not isinstance(TracedStore(CountingStore(MemoryStore())), SupportsOwners)
    assert not isinstance(TracedStore(MemoryStore()), SupportsListing)
    with pytest.raises(ConfigurationError, match="must be a store"):
        TracedStore(MemoryStore)  # type: ignore[arg-type]


async def test_events_are_counted_by_kind() -> None:
    reader = InMemoryMetricReader()
    count = EventCounter(meter_provider=MeterProvider([reader]))
    for kind in (EventKind.CREATED, EventKind.CREATED, EventKind.DESTROYED):
        count(SessionEvent(kind, "p" * 16, OWNER, "d" * 16))
    name = "starlette_sessions_ext.event.kind"
    assert counts(reader) == {((name, "created"),): 2, ((name, "destroyed"),): 1}


async def test_requests_are_traced_and_counted_and_name_nobody(spans: Spans, clock: FakeClock) -> None:
    async def sign_in(request: Request) -> None:
        request.session["user"] = "canary"

    async def sign_out_everywhere(request: Request) -> Any:
        return await request.state.session.directory.revoke_all("canary")

    reader, inner = InMemoryMetricReader(), MemoryStore(clock=clock)
    store = EncryptedStore(TracedStore(inner, tracer_provider=spans.provider), keys=[b"k" * 32])
    app = make_app(
        store,
        {"/": sign_in, "/out": sign_out_everywhere},
        on_event=EventCounter(meter_provider=MeterProvider([reader])),
        user="user",
        clock=clock,
    )
    browser = Browser(app)
    tracer = spans.provider.get_tracer("application")
    with tracer.start_as_current_span("request"):
        await browser.get("/")
    [key], [owner] = inner._rows, inner._keys
    assert (await browser.get("/out")).json() == 1
    made = spans.taken()
    create = next(span for span in made if span.name == "create session")
    request = next(span for span in made if span.name == "request")
    assert create.parent is not None
    assert request.context is not None
    assert create.parent.span_id == request.context.span_id
    assert {"load session", "keys_of session", "delete_all_of session"} <= {span.name for span in made}
    assert sum(counts(reader).values()) >= 1
    data = reader.get_metrics_data()
    shown = "".join(span.to_json() for span in made) + repr(counts(reader)) + (data.to_json() if data else "")
    assert not [secret for secret in ("canary", key, owner, *browser.cookies.values()) if secret in shown]


async def test_without_an_sdk_nothing_happens(clock: FakeClock) -> None:
    EventCounter()(SessionEvent(EventKind.CREATED))
    assert (
        await TracedStore(MemoryStore(clock=clock), tracer_provider=trace.NoOpTracerProvider()).load(key_of(new_id()))
        is None
    )
