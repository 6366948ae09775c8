"""One cart by each kind of class that typed data takes, for test_typed.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, NotRequired, Required, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pydantic.dataclasses


class Colour(Enum):
    RED = "r"


@dataclass
class Line:
    name: str
    count: int = 1


@dataclass
class Cart:
    lines: list[Line] = field(default_factory=list)
    note: str | None = None
    since: datetime | None = None


@dataclass(slots=True)
class SlottedCart:
    lines: list[Line] = field(default_factory=list)
    note: str | None = None
    since: datetime | None = None


class ModelLine(pydantic.BaseModel):
    name: str
    count: int = 1


class ModelCart(pydantic.BaseModel):
    lines: list[ModelLine] = []
    note: str | None = None
    since: datetime | None = None


class StrictCart(pydantic.BaseModel, strict=True):
    lines: list[ModelLine] = []
    note: str | None = pydantic.Field(default=None, alias="theNote")
    since: datetime | None = None


@pydantic.dataclasses.dataclass
class PydanticCart:
    lines: list[ModelLine] = field(default_factory=list)
    note: str | None = None
    since: datetime | None = None


class StructLine(msgspec.Struct):
    name: str
    count: int = 1


class StructCart(msgspec.Struct):
    lines: list[StructLine] = []
    note: str | None = None
    since: datetime | None = None


CARTS: list[tuple[Any, Any]] = [
    (Cart, Line),
    (SlottedCart, Line),
    (ModelCart, ModelLine),
    (StrictCart, ModelLine),
    (PydanticCart, ModelLine),
    (StructCart, StructLine),
]


class DictCart(TypedDict, total=False):
    lines: list[dict[str, int]]
    note: Required[str]


class Prefs(TypedDict):
    colour: NotRequired[Colour]
    size: NotRequired[int]


UserId = NewType("UserId", int)


@dataclass(frozen=True)
class Everything:
    """Each annotation that typed data reads without another library."""

    anything: Any = None
    text: str = ""
    number: int = 0
    share: float = 0.5
    flag: bool = False
    nothing: None = None
    moment: datetime = datetime(2030, 1, 2)
    day: date = date(2030, 1, 2)
    hour: time = time(3, 4)
    lasts: timedelta = timedelta(days=1, microseconds=2)
    id: UUID = UUID(int=1)  # noqa: RUF009
    price: Decimal = Decimal("1.50")
    raw: bytes = b"\x00\xff"
    path: Path = Path("a/b")
    colour: Colour = Colour.RED
    either: int | list[str] | None = None
    size: Literal["s", 1] = "s"
    limited: Annotated[int, "positive"] = 1
    user: UserId = UserId(1)
    items: list[Line] = field(default_factory=list)
    unknown: list = field(default_factory=list)  # type: ignore[type-arg]
    names: set[str] = field(default_factory=set)
    fixed: frozenset[int] = frozenset()
    pair: tuple[int, str] = (1, "a")
    many: tuple[date, ...] = ()
    by_name: dict[str, Line] = field(default_factory=dict)
    by_number: dict[int, date] = field(default_factory=dict)
    by_id: dict[UUID, int] = field(default_factory=dict)
    loose: dict = field(default_factory=dict)  # type: ignore[type-arg]
    prefs: Prefs = field(default_factory=lambda: Prefs())
    derived: str = field(init=False, default="not stored")


FULL = Everything(
    anything=[{"a": 1}],
    either=["a"],
    size=1,
    user=UserId(7),
    items=[Line("tea", 2)],
    unknown=[1, "a"],
    names={"b", "a"},
    fixed=frozenset([3, 1]),
    many=(date(2030, 1, 1), date(2031, 1, 1)),
    by_name={"x": Line("y")},
    by_number={-1: date(2030, 1, 1)},
    by_id={UUID(int=2): 3},
    loose={"a": [1]},
    prefs={"colour": Colour.RED},
)
