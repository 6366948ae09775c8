"""State the types of typed data and of `def` endpoints. mypy and pyright check this module; nothing runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, TypedDict, assert_type

from fastapi import FastAPI
from msgspec import Struct
from pydantic import BaseModel
from starlette.requests import Request
from starlette.websockets import WebSocket

from starlette_sessions_ext import Session, SessionMiddleware, SQLiteStore, TaggedJSONSerializer, get_session
from starlette_sessions_ext.fastapi import SessionDep, TypedSession


class Model(BaseModel):
    count: int = 0


@dataclass
class Data:
    count: int = 0


class Record(Struct):
    count: int = 0


class Keys(TypedDict, total=False):
    count: int


def typed_data(session: Session) -> None:
    assert_type(session.typed(Model, key="a"), Model)
    assert_type(session.typed(Data, key="b"), Data)
    assert_type(session.typed(Record, key="c"), Record)
    assert_type(session.typed(Keys, key="d"), Keys)
    assert_type(session.typed(Data, key="e", default=lambda: Data(3)), Data)
    session.typed(Data)  # type: ignore[call-arg]  # pyright: ignore


def count(data: dict[str, Any]) -> int:
    return len(data)


async def plain_starlette(request: Request, socket: WebSocket) -> None:
    session = get_session(request)
    assert_type(session, Session)
    assert_type(get_session(socket), Session)
    assert_type(session.created_at, int | None)
    assert_type(await session.atomic(count), int)
    assert_type(await session.save(), None)


app = FastAPI()
app.add_middleware(
    SessionMiddleware, secret_key="x" * 32, store=SQLiteStore("sessions.db"), serializer=TaggedJSONSerializer([Data])
)


@app.get("/")
async def fastapi(session: SessionDep, cart: Annotated[Model, TypedSession("cart")]) -> int:
    assert_type(session, Session)
    assert_type(cart, Model)
    return cart.count


@app.get("/sync")
def sync(session: SessionDep) -> int:
    assert_type(session.save_sync(), None)
    assert_type(session.atomic_sync(count), int)
    return 0
