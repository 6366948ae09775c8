"""What RedisStore can't be made of is refused at construction, with the option's name and what to give."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from typing import Any

import pytest
import redis
from redis.asyncio import ConnectionPool, Redis, RedisCluster

from starlette_sessions_ext import ConfigurationError, RedisStore


async def connect() -> Redis:
    return Redis()


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (None, "NoneType"),
        (b"redis://localhost", "bytes"),
        (redis.Redis(), r"redis\.client\.Redis"),
        (ConnectionPool(), r"redis\.asyncio\.connection\.ConnectionPool"),
        (6379, "int"),
    ],
)
def test_what_is_neither_a_url_nor_a_client(given: Any, what: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"client_or_url must be a URL .* or a client of redis.asyncio.*{what}"
    ):
        RedisStore(given)


def test_a_client_that_wasnt_awaited() -> None:
    given: Any = connect()
    with pytest.raises(ConfigurationError, match=r"client_or_url .* not a coroutine, which has to be awaited first"):
        RedisStore(given)
    given.close()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Redis(decode_responses=True),
        lambda: RedisCluster("127.0.0.1", 1, decode_responses=True),
        lambda: "redis://localhost?decode_responses=yes",
    ],
)
def test_decoded_responses(make: Callable[[], Any]) -> None:
    with pytest.raises(ConfigurationError, match="without decode_responses=True"):
        RedisStore(make())


@pytest.mark.parametrize(
    "url",
    [
        *("", "localhost", "localhost:6379", "http://localhost", "redis://host:port", "redis://host:99999"),
        *("redis://host/name", "redis://host/1/2", "redis://host/0#1", "redis://host?foo=1", "redis://[host"),
        *("redis://host?socket_timeout=soon", "redis://host?protocol=7", "redis://host?max_connections=-1"),
        *("rediss://host?ssl_cert_reqs=maybe", "redis://host?retry=1", "unix://", "unix://:password@"),
        # Halves of a password, which would be shown as a host and a port, or be sent elsewhere:
        *("redis://:12#canary@host", "redis://:12/canary@host", "redis://:12?canary@host", "redis://canary/1@host"),
    ],
)
def test_a_url_that_cant_be_meant(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"redis://USER:PASSWORD@host:6379/0.*percent-encoded") as error:
        RedisStore(url)
    assert "canary" not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize(
    "url",
    [
        *("redis://localhost", "redis://localhost/", "redis://localhost/3", "REDIS://localhost", "redis://"),
        *("rediss://:pass@host:6380/1?ssl_ca_certs=/etc/ca.pem", "unix:///run/redis.sock", "unix://:p@/r.sock?db=2"),
        *("redis://:p%2F%3F%23s@host", "redis://:p@s@host", "redis://host?client_name=web", "redis://[::1]:6379/0"),
        *("redis://host?socket_keepalive=no", "redis://u:p@host?client_name=a@b", "redis://host?max_connections=5"),
    ],
)
def test_a_url_that_is_right(url: str) -> None:
    RedisStore(url)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("timeout", value) for value in (0, -1, math.nan, math.inf, "2", True, None)),
        *(("pool_size", value) for value in (0, -1, 1.5, True, "5")),
        *(("max_data_bytes", value) for value in (0, -1, 1.5, "1")),
        *(("clock", value) for value in (5, None, "now")),
        *(("prefix", value) for value in (None, b"s:", "two words", "ä", "x" * 65, "a\n")),
    ],
)
def test_an_option_that_cant_work(option: str, value: Any) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(ConfigurationError, match=f"^{option} must be"):
        RedisStore("redis://localhost", **options)
    if option in ("timeout", "max_data_bytes", "clock"):
        with pytest.raises(ConfigurationError, match=f"^{option} must be"):
            RedisStore.from_save_path("tcp://localhost", **options)


def test_nothing_of_a_url_is_shown_by_a_store() -> None:
    store = RedisStore("redis://user:canary@localhost")
    assert "canary" not in f"{store!r} {store}"
