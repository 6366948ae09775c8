"""Counts your visits: `uvicorn examples.quickstart:app`, then open http://127.0.0.1:8000 a few times."""

import os
import secrets

from fastapi import FastAPI

from starlette_sessions_ext import SessionMiddleware, SQLiteStore
from starlette_sessions_ext.fastapi import SessionDep

app = FastAPI()
app.add_middleware(
    SessionMiddleware,
    secret_key=os.environ.get("SECRET_KEY") or secrets.token_hex(32),  # set it, and sessions survive a restart
    store=SQLiteStore("quickstart.db"),
)


@app.get("/")
async def count(session: SessionDep) -> dict[str, int]:
    session["visits"] = session.get("visits", 0) + 1
    return {"visits": session["visits"]}
