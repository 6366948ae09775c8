"""The trials. Each begins with a new visitor, and returns what was seen, in a word or two."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .browser import Answer, Browser
from .gate import gate

Trial = Callable[[int], str]

NO_SOCKETS = "no session there"


def held_up(browser: Browser, path: str, between: Callable[[], object]) -> Answer:
    """Let a request load its session, do something else, then let it go on."""
    answers: list[Answer] = []
    gate.close()
    thread = threading.Thread(target=lambda: answers.append(browser.get(path)))
    thread.start()
    gate.wait_for_request()
    between()
    gate.open()
    thread.join()
    return answers[0]


def signed_in(port: int) -> Browser:
    browser = Browser(port)
    browser.get("/set?first=1")
    browser.get("/sign-in")
    return browser


def lost_update(port: int) -> str:
    browser = signed_in(port)
    tab = browser.copy()
    for line in held_up(tab, "/slow?b=1", lambda: browser.get("/set?c=1")).set_cookies:
        browser.keep(line)  # it came last
    found = browser.session().keys() & {"b", "c"}
    return "both are kept" if found == {"b", "c"} else "one is lost"


def logout_race(port: int) -> str:
    return _logout(port, "/slow?b=1")


def logout_race_with_a_read(port: int) -> str:
    return _logout(port, "/slow-read")


def _logout(port: int, path: str) -> str:
    """Return what the slower request brings back: to the browser by its cookie, or to a holder of the former cookie."""
    browser = signed_in(port)
    tab, other = browser.copy(), browser.copy()
    opened: list[bool] = []

    def sign_out() -> None:
        browser.get("/sign-out")
        opened.append("user" in other.session())

    answer = held_up(tab, path, sign_out)
    for line in answer.set_cookies:
        browser.keep(line)  # it came last
    back = "user" in browser.session() or ("user" in other.session() and not opened[0])
    return ("is back" if back else "stays ended") + (f", HTTP {answer.status}" if answer.status >= 400 else "")


def copied_cookie(port: int) -> str:
    browser = signed_in(port)
    thief = browser.copy()
    browser.get("/sign-out")
    return "opens the session" if "user" in thief.session() else "is rejected"


def made_up_id(port: int) -> str:
    """A client sends an id that it made up, in the form of a genuine one."""
    browser = signed_in(port)
    [(name, genuine)] = browser.cookies.items()
    made_up = "".join("a" if letter.isalnum() else letter for letter in genuine)
    attacker = Browser(port, {name: made_up})
    victim = attacker.copy()
    victim.get("/set?secret=1")
    return "is adopted" if "secret" in attacker.session() else "is refused"


def fixation(port: int) -> str:
    """An attacker knows the visitor's id from before the sign-in. The handler only sets the user."""
    browser = Browser(port)
    browser.get("/set?first=1")
    attacker = browser.copy()
    browser.get("/sign-in")
    return "is signed in too" if "user" in attacker.session() else "has nothing"


def nested_change(port: int) -> str:
    browser = Browser(port)
    browser.get("/cart")
    browser.get("/append")
    return "kept" if browser.session().get("cart") == ["tea"] else "lost"


def socket_write(port: int) -> str:
    browser = signed_in(port)
    if not browser.talk("/socket"):
        return NO_SOCKETS
    return "kept" if "socket" in browser.session() else "lost"


def streamed_write(port: int) -> str:
    browser = signed_in(port)
    browser.get("/stream")
    return "kept" if "streamed" in browser.session() else "lost"


def cookie_on_read(port: int) -> str:
    browser = signed_in(port)
    return "yes" if browser.get("/get").set_cookies else "no"


def cookie_of_a_visitor(port: int) -> str:
    return "yes" if Browser(port).get("/get").set_cookies else "no"


TRIALS: dict[str, Trial] = {
    "two requests at once change different keys": lost_update,
    "a logout, while a slower request writes": logout_race,
    "a logout, while a slower request reads": logout_race_with_a_read,
    "a copied cookie, after the logout": copied_cookie,
    "an id that the client made up": made_up_id,
    "an attacker who knows the pre-sign-in id": fixation,
    '`session["cart"].append("tea")`': nested_change,
    "a change in a WebSocket": socket_write,
    "a change in a streamed body": streamed_write,
    "Set-Cookie on a response that only read": cookie_on_read,
    "a cookie for a visitor who only looks": cookie_of_a_visitor,
}
