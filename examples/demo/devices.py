"""Sign a user's other devices out."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.types import Scope

from examples.fastapi_app.devices import describe_device
from starlette_sessions_ext import Session
from starlette_sessions_ext.fastapi import require_session

from .live import FeedDep

router = APIRouter(prefix="/devices")

SignedIn = Annotated[Session, Depends(require_session())]


@router.delete("/{public_id}", status_code=204)
async def sign_out_device(session: SignedIn, public_id: str, feed: FeedDep) -> None:
    await session.directory.revoke(session["user"], public_id)  # of this user's devices alone
    feed.wake()


@router.delete("", status_code=204)
async def sign_out_others(session: SignedIn, feed: FeedDep) -> None:
    await session.directory.revoke_all(session["user"], keep=session)
    feed.wake()


def describe(scope: Scope) -> dict[str, Any]:
    """Return what the list shows of a device. The host tells two devices of one browser apart."""
    return {**describe_device(scope), "host": dict(scope["headers"]).get(b"host", b"").decode("latin-1")}
