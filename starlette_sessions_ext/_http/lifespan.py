"""Open and close the store with the application."""

from __future__ import annotations

from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import SessionError
from ..stores.base import SessionStore, SupportsOwners

NOBODY = "a" * 32
"""An owner that no user has."""


async def run_lifespan(
    app: ASGIApp, store: SessionStore, owned: SupportsOwners | None, scope: Scope, receive: Receive, send: Send
) -> None:
    """Open the store after the application has started, and close it after it stopped.

    If the store can't be opened, report that to the server and make the application shut down. `owned`
    is the store where it has to find the sessions of a user: a table that can't is reported too.
    """
    failure: SessionError | None = None

    async def lifespan_receive() -> Message:
        return await receive() if failure is None else {"type": "lifespan.shutdown"}

    async def lifespan_send(message: Message) -> None:
        nonlocal failure
        if failure is not None:
            return  # the server has its answer; this is the application shutting down
        if message["type"] == "lifespan.startup.complete":
            try:
                await store.open()
                if owned is not None:
                    await owned.keys_of(NOBODY)
            except SessionError as error:
                failure = error
                with suppress(SessionError):
                    await store.aclose()
                message = {"type": "lifespan.startup.failed", "message": f"session store: {error}"}
        elif message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            await store.aclose()
        await send(message)

    await app(scope, lifespan_receive, lifespan_send)
    if failure is not None:
        raise failure  # as Starlette does: its TestClient waits for ever on a failed start without an error
