"""Values of a session as objects of the application's classes, through the middleware."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
import pydantic
import pytest
from starlette.requests import Request
from starlette.websockets import WebSocket

from starlette_sessions_ext import (
    ConfigurationError,
    InvalidSessionData,
    MemoryStore,
    NotSerializable,
    Session,
    SessionError,
    SessionNotSaved,
)

from ..support.client import Browser, make_app
from ..support.store_wrappers import CountingStore
from ..support.typed_classes import CARTS, Cart, Colour, DictCart, Line, ModelCart, Prefs, StructCart

pytestmark = pytest.mark.anyio

Act = Callable[[Session], Any]


class Site:
    """An application whose one handler does what the test says."""

    def __init__(self, **options: Any) -> None:
        self.store = CountingStore(MemoryStore())
        self.act: Act = len
        self.browser = Browser(make_app(self.store, {"/": self._handle}, **options))

    async def do(self, act: Act, browser: Browser | None = None) -> Any:
        self.act = act
        answer = await (browser or self.browser).get("/")
        assert answer.status == 200, answer.body
        return answer.json()

    async def data(self) -> Any:
        return await self.do(dict)

    async def _handle(self, request: Request) -> Any:
        result = self.act(request.state.session)
        return await result if hasattr(result, "__await__") else result


@pytest.fixture
def site() -> Site:
    return Site()


def add(cart: Any, line: Any) -> None:
    cart.lines.append(line)


@pytest.mark.parametrize(("kind", "line"), CARTS)
class TestEachKind:
    async def test_nested_changes_are_saved(self, site: Site, kind: Any, line: Any) -> None:
        since = datetime(2030, 1, 2)

        def fill(session: Session) -> None:
            cart = session.typed(kind, key="cart")
            assert session.typed(kind, key="cart") is cart
            cart.lines.append(line(name="tea"))
            cart.since = since

        def change(session: Session) -> None:
            cart = session.typed(kind, key="cart")
            assert type(cart) is kind
            assert cart.since == since
            cart.lines[0].count += 1

        await site.do(fill)
        await site.do(change)
        stored = (await site.data())["cart"]
        assert stored["lines"] == [{"name": "tea", "count": 2}]
        assert stored["since"] == "2030-01-02T00:00:00"

    async def test_looking_writes_nothing(self, site: Site, kind: Any, line: Any) -> None:
        def look(session: Session) -> int:
            return len(session.typed(kind, key="cart").lines)

        assert await site.do(look) == 0
        assert site.store.calls == []
        assert not site.browser.cookies
        await site.do(lambda session: session.update(cart={"lines": [{"name": "tea"}]}))
        site.store.calls.clear()
        assert await site.do(look) == 1
        assert site.store.calls == ["load"]
        assert (await site.data())["cart"] == {"lines": [{"name": "tea"}]}

    async def test_what_isnt_valid_is_named_and_left(self, site: Site, kind: Any, line: Any) -> None:
        bad = {"lines": [{"name": "tea", "count": "secret"}]}
        await site.do(lambda session: session.update(cart=bad))

        def look(session: Session) -> str:
            with pytest.raises(InvalidSessionData) as caught:
                session.typed(kind, key="cart")
            return str(caught.value)

        message = await site.do(look)
        assert message.startswith(f"session['cart'] isn't a valid {kind.__name__}, at ['lines'][0]['count']: ")
        assert message.endswith("It was left as it is: delete the key, or let the class read what was stored")
        assert "secret" not in message
        assert (await site.data())["cart"] == bad

    @pytest.mark.parametrize("wrong", ["secret", object()])
    async def test_what_isnt_valid_isnt_saved(self, site: Site, kind: Any, line: Any, wrong: Any) -> None:
        await site.do(lambda session: add(session.typed(kind, key="cart"), line(name="tea")))
        before = await site.data()
        with pytest.raises(
            NotSerializable, match=r"^session\['cart'\] isn't a valid .*\. Nothing was saved\.$"
        ) as caught:
            await site.do(lambda session: setattr(session.typed(kind, key="cart").lines[0], "count", wrong))
        assert "secret" not in str(caught.value)
        assert await site.data() == before

    async def test_what_others_saved_reaches_the_object(self, site: Site, kind: Any, line: Any) -> None:
        await site.do(lambda session: add(session.typed(kind, key="cart"), line(name="tea")))
        tab = site.browser.tab()

        async def act(session: Session) -> None:
            cart = session.typed(kind, key="cart")
            await site.do(lambda theirs: add(theirs.typed(kind, key="cart"), line(name="milk")), tab)
            session["mine"] = 1
            await session.save()
            assert session.typed(kind, key="cart") is cart
            cart.note = "both"

        await site.do(act)
        stored = await site.data()
        assert [item["name"] for item in stored["cart"]["lines"]] == ["tea", "milk"]
        assert "both" in stored["cart"].values()


async def test_typeddicts_are_dicts_of_their_own(site: Site) -> None:
    def fill(session: Session) -> None:
        prefs = session.typed(Prefs, key="prefs")
        prefs["colour"] = Colour.RED
        cart = session.typed(DictCart, key="cart", default=lambda: {"note": ""})
        cart["lines"] = [{"tea": 1}]

    await site.do(fill)
    assert await site.data() == {"prefs": {"colour": "r"}, "cart": {"note": "", "lines": [{"tea": 1}]}}

    async def act(session: Session) -> None:
        prefs = session.typed(Prefs, key="prefs")
        assert prefs == {"colour": Colour.RED}
        await session.atomic(lambda data: data.update(prefs={"size": 2}))
        assert prefs == {"size": 2}

    await site.do(act)


async def test_a_default_is_stored_once_it_differs(site: Site) -> None:
    def default() -> Line:
        return Line("tea", 3)

    assert await site.do(lambda session: session.typed(Line, key="line", default=default).count) == 3
    assert not site.browser.cookies

    await site.do(lambda session: setattr(session.typed(Line, key="line", default=default), "count", 4))
    assert await site.data() == {"line": {"name": "tea", "count": 4}}


async def test_a_class_without_default_values_needs_one(site: Site) -> None:
    with pytest.raises(ConfigurationError, match=r"^the session has no 'line', and Line can't be made without values"):
        await site.do(lambda session: session.typed(Line, key="line"))


@pytest.mark.parametrize("kind", [int, dict, list[int], Colour, "Cart", Line("a")])
async def test_other_classes_are_refused(kind: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^session\.typed takes a class: a pydantic model, .* none of them$"):
        Session().typed(kind, key="cart")


async def test_the_libraries_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(__import__("sys").modules, "pydantic")
    monkeypatch.delitem(__import__("sys").modules, "msgspec")

    @dataclass
    class Fresh:
        count: int = 1

    assert Session().typed(Fresh, key="a").count == 1


async def test_one_key_has_one_class(site: Site) -> None:
    def act(session: Session) -> None:
        session.typed(Cart, key="cart")
        session.typed(ModelCart, key="cart")

    with pytest.raises(SessionError, match=r"^session\['cart'\] was asked for as another class in this request"):
        await site.do(act)


class TestNextToTheDict:
    async def test_an_assignment_is_read_by_the_next_call(self, site: Site) -> None:
        def act(session: Session) -> str | None:
            first = session.typed(Cart, key="cart")
            session["cart"] = {"note": "new"}
            second = session.typed(Cart, key="cart")
            assert second is not first
            return second.note

        assert await site.do(act) == "new"

    async def test_a_deletion_wins(self, site: Site) -> None:
        def act(session: Session) -> None:
            cart = session.typed(Cart, key="cart")
            cart.note = 7  # type: ignore[assignment]
            del session["cart"]

        await site.do(lambda session: setattr(session.typed(Cart, key="cart"), "note", "a"))
        await site.do(act)
        assert await site.data() == {}

    @pytest.mark.parametrize("end", [Session.destroy, Session.clear])
    async def test_nothing_survives_the_end_of_a_session(self, site: Site, end: Act) -> None:
        def act(session: Session) -> None:
            cart = session.typed(Cart, key="cart")
            cart.note = "before"
            end(session)
            cart.note = "after"

        await site.do(act)  # new
        assert not site.browser.cookies
        await site.do(lambda session: session.update(cart={"note": "stored"}, user="ann"))
        await site.do(act)
        assert await site.data() == {}
        assert not site.browser.cookies

    @pytest.mark.parametrize("asks_again", [True, False])
    async def test_both_changed_is_refused(self, site: Site, asks_again: bool) -> None:
        await site.do(lambda session: session.update(cart={"note": "a"}))

        def act(session: Session) -> None:
            session.typed(Cart, key="cart").note = "b"
            session["cart"] = {"note": "c"}
            if asks_again:
                session.typed(Cart, key="cart")

        with pytest.raises(
            SessionError, match=r"^session\['cart'\] was assigned, and the Cart that .* do one of both$"
        ):
            await site.do(act)
        assert await site.data() == {"cart": {"note": "a"}}

    async def test_copies_have_the_data_alone(self, site: Site) -> None:
        session = Session({"cart": {"note": "a"}})
        session.typed(Cart, key="cart").note = "b"
        for other in (copy.copy(session), pickle.loads(pickle.dumps(session))):
            assert other["cart"] == {"note": "a"}
            assert other._data() == {"cart": {"note": "a"}}


class TestSaves:
    async def test_atomic_reaches_the_object(self, site: Site) -> None:
        async def act(session: Session) -> None:
            cart = session.typed(Cart, key="cart")
            cart.note = "a"
            await session.atomic(lambda data: data["cart"]["lines"].append({"name": "tea", "count": 1}))
            assert cart.lines == [Line("tea")]
            cart.lines[0].count = 2

        await site.do(act)
        assert (await site.data())["cart"]["lines"] == [{"name": "tea", "count": 2}]

    async def test_what_changes_after_a_save_is_saved(self, site: Site) -> None:
        async def act(session: Session) -> None:
            cart = session.typed(Cart, key="cart")
            cart.note = "a"
            await session.save()
            cart.note = "b"

        await site.do(act)
        assert (await site.data())["cart"]["note"] == "b"

    async def test_a_parallel_deletion_is_final(self, site: Site) -> None:
        await site.do(lambda session: session.update(cart={"note": "a"}, user="ann"))
        tab = site.browser.tab()

        async def act(session: Session) -> None:
            cart = session.typed(Cart, key="cart")
            await site.do(lambda theirs: theirs.pop("cart"), tab)
            session["mine"] = 1
            await session.save()
            cart.note = "late"
            assert session.typed(Cart, key="cart") is not cart

        await site.do(act)
        assert await site.data() == {"user": "ann", "mine": 1}

    async def test_invalid_data_of_others_isnt_overwritten(self, site: Site) -> None:
        await site.do(lambda session: session.update(cart={"note": "a"}))
        tab = site.browser.tab()

        async def act(session: Session) -> None:
            cart = session.typed(Cart, key="cart")
            await site.do(lambda theirs: theirs.update(cart={"note": 7}), tab)
            session["mine"] = 1
            await session.save()
            cart.note = "late"

        with pytest.raises(SessionError, match=r"^session\['cart'\] was assigned, and"):
            await site.do(act)
        assert await site.data() == {"cart": {"note": 7}, "mine": 1}

    @pytest.mark.parametrize("order", [(Cart, Prefs), (Prefs, Cart)])
    async def test_an_object_changed_during_a_save_stays_changed(self, site: Site, order: Any) -> None:
        await site.do(lambda session: session.update(cart={"note": "a"}, prefs={"size": 1}))
        tab = site.browser.tab()

        async def act(session: Session) -> None:
            for kind in order:
                session.typed(kind, key=kind.__name__.lower())
            cart, prefs = session.typed(Cart, key="cart"), session.typed(Prefs, key="prefs")
            await site.do(lambda theirs: theirs.update(cart={"note": "theirs"}, prefs={"size": 2}), tab)
            session["mine"] = 1

            def change(data: dict[str, Any]) -> None:
                data["n"] = 1
                cart.note = "mine"
                prefs["size"] = "no int"  # type: ignore[typeddict-item]

            await session.atomic(change)
            assert cart.note == "mine"
            prefs["size"] = 3

        with pytest.raises(SessionError, match=r"^session\['\w+'\] was assigned, and"):
            await site.do(act)

    async def test_a_new_session_that_is_filled_too_late_says_so(self) -> None:
        async def talk(socket: WebSocket) -> None:
            cart = socket.state.session.typed(Cart, key="cart")
            await socket.accept()
            cart.note = "late"

        browser = Browser(make_app(MemoryStore(), {}, {"/socket": talk}))
        with pytest.raises(SessionNotSaved):
            await browser.connect("/socket")

    async def test_a_socket_saves(self) -> None:
        async def talk(socket: WebSocket) -> None:
            cart = socket.state.session.typed(Cart, key="cart")
            cart.note = "first"
            await socket.accept()
            cart.note = "second"

        async def look(request: Request) -> Any:
            return request.state.session["cart"]["note"]

        browser = Browser(make_app(MemoryStore(), {"/": look}, {"/socket": talk}))
        await browser.connect("/socket")
        assert (await browser.get("/")).json() == "second"


class Positive(pydantic.BaseModel):
    count: Annotated[int, pydantic.Field(gt=0)] = 1
    name: str = ""

    @pydantic.field_validator("name")
    @classmethod
    def check(cls, name: str) -> str:
        if name:
            raise ValueError(f"{name} is refused")
        return name


class Picky(msgspec.Struct):
    colour: Colour = Colour.RED
    counts: dict[str, int] = {}
    by_number: dict[int, int] = {}

    def __post_init__(self) -> None:
        if self.counts:
            raise ValueError(f"{self.counts} is refused")


class Frozen(msgspec.Struct, frozen=True):
    items: list[int] = []


class TestMessages:
    @pytest.mark.parametrize(
        ("kind", "stored", "reason"),
        [
            (Positive, {"name": "secret"}, "at ['name']: value_error"),
            (Positive, {"count": 0}, "at ['count']: Input should be greater than 0"),
            (Positive, "secret", "Input should be an object"),
            (Picky, {"colour": "secret"}, "at ['colour']: a value that its class refuses"),
            (Picky, {"counts": {"secret": 1}}, "a value that its class refuses"),
            (Picky, {"counts": {"secret": "a"}}, "at ['counts'][...]: Expected `int`, got `str`"),
            (Picky, [], "Expected `object`, got `array`"),
            (Cart, [], "expected dict, got list"),
        ],
    )
    def test_they_say_where_and_hold_no_data(self, kind: Any, stored: Any, reason: str) -> None:
        with pytest.raises(InvalidSessionData) as caught:
            Session(value=stored).typed(kind, key="value")
        assert str(caught.value).startswith(f"session['value'] isn't a valid {kind.__name__}, {reason}. It was left")
        assert caught.value.__suppress_context__

    def test_a_value_that_couldnt_be_read_again_isnt_saved(self) -> None:
        session = Session()
        session.typed(Positive, key="value").count = 0
        with pytest.raises(
            NotSerializable, match=r"at \['count'\]: Input should be greater than 0\. Nothing was saved"
        ):
            session._data()

    def test_keys_that_are_numbers_come_back(self) -> None:
        session = Session()
        session.typed(Picky, key="value").by_number[3] = 4
        assert session._data()["value"]["by_number"] == {"3": 4}
        assert Session(session._data()).typed(Picky, key="value").by_number == {3: 4}

    def test_a_frozen_struct_is_given_what_others_saved(self) -> None:
        session = Session(value={"items": [1]})
        value = session.typed(Frozen, key="value")
        dict.update(session, value={"items": [2]})
        assert session._typed is not None
        session._typed.refresh(session)
        assert value.items == [2]


def test_a_struct_cart_has_its_own_list() -> None:
    one, other = Session().typed(StructCart, key="cart"), Session().typed(StructCart, key="cart")
    assert one.lines is not other.lines
