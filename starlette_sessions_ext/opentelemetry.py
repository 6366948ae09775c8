"""Traces and metrics by OpenTelemetry.

There is a span for each store operation, and a count of events.

    app.add_middleware(SessionMiddleware, store=TracedStore(store), on_event=EventCounter(), ...)

Only the API of OpenTelemetry is needed. Without its SDK nothing is recorded. No attribute holds an id, a
key, an owner, a user or data.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec, TypeVar

try:
    from opentelemetry import metrics, trace
except ImportError as error:  # pragma: no cover - tested in an interpreter without opentelemetry
    raise ImportError(
        "starlette_sessions_ext.opentelemetry needs the API of OpenTelemetry: "
        'pip install "starlette-sessions-ext[otel]"'
    ) from error

from .events import SessionEvent
from .stores._support.wrapping import WrappingStore
from .stores.base import SessionStore

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_NAME = "starlette_sessions_ext"

_OPERATIONS = (
    *("load", "create", "replace", "touch", "delete", "delete_expired"),
    *("owner_of", "keys_of", "delete_all_of"),
)

_SYSTEMS = {  # db.system.name, by the class of a store
    "DatabaseStore": "mysql",  # or MariaDB: the store doesn't know
    "HandlerSocketStore": "mariadb",
    "MongoStore": "mongodb",
    "PostgreSQLStore": "postgresql",
    "RedisStore": "redis",
    "SQLiteStore": "sqlite",
    "WeightedRedisStore": "redis",
}


class TracedStore(WrappingStore):
    """A store that makes a client span for each operation of another store.

    A span is named after its operation, such as "load session". It has the attributes `db.operation.name`
    and `db.system.name`, the latter for the stores of this package. An operation that raises gives its span
    the status ERROR and `error.type`. Wrap the store that talks to the server:
    `EncryptedStore(TracedStore(RedisStore(url)), keys=...)`.

    `tracer_provider` is the global one if not given. Raises `ConfigurationError` for what is no store.
    """

    def __init__(self, store: SessionStore, *, tracer_provider: trace.TracerProvider | None = None) -> None:
        super().__init__(store)
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)
        names = [kind.__name__ for kind in type(store).__mro__]
        self._system = next((_SYSTEMS[name] for name in names if name in _SYSTEMS), None)
        for operation in _OPERATIONS:
            if hasattr(self, operation):
                setattr(self, operation, self._traced(operation, getattr(self, operation)))

    def _traced(
        self, operation: str, call: Callable[Arguments, Awaitable[Result]]
    ) -> Callable[Arguments, Awaitable[Result]]:
        attributes = {"db.operation.name": operation}
        if self._system is not None:
            attributes["db.system.name"] = self._system

        @wraps(call)
        async def traced(*arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
            with self._tracer.start_as_current_span(
                f"{operation} session",
                kind=trace.SpanKind.CLIENT,
                attributes=attributes,
                record_exception=False,  # an error of a store that isn't ours may say anything
                set_status_on_exception=False,
            ) as span:
                try:
                    return await call(*arguments, **options)
                except Exception as error:
                    span.set_attribute("error.type", f"{type(error).__module__}.{type(error).__qualname__}")
                    span.set_status(trace.StatusCode.ERROR)
                    raise

        return traced


class EventCounter:
    """Count session events, as the option `on_event` of the middleware.

    The counter is `starlette_sessions_ext.events`; its attribute `starlette_sessions_ext.event.kind` is
    the value of the `EventKind`, such as "created". `meter_provider` is the global one if not given.
    """

    def __init__(self, *, meter_provider: metrics.MeterProvider | None = None) -> None:
        meter = metrics.get_meter(_NAME, meter_provider=meter_provider)
        self._counter = meter.create_counter(
            f"{_NAME}.events", unit="{event}", description="What happened to sessions, by kind"
        )

    def __call__(self, event: SessionEvent) -> None:
        self._counter.add(1, {f"{_NAME}.event.kind": event.kind.value})
