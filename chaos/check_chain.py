"""Check that the links of a session are one chain: none is missing, and each names the one before. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .calls import Call, Finding, Harm, Kind, Outcome, Seen, by_begin, by_end


def check_chain(calls: Sequence[Call]) -> Iterator[Finding]:
    """`calls` are those of one session."""
    shown = [call for call in calls if call.seen is not None]
    links = {call.nonce: call for call in calls if call.kind is Kind.LINK}
    chain: dict[int, Call] = {}  # the first that showed a version
    for call in by_end(shown):
        seen = _seen(call)
        first = chain.setdefault(seen.version, call)
        if (seen.nonce, seen.previous) != _seen(first)[1:3]:
            yield Finding(Harm.LOST, call, "two writes became the same version: one of them is lost")
        else:
            yield from _written(call, links)
    yield from _connected(chain, links)
    yield from _forward(shown)


def _written(call: Call, links: dict[str, Call]) -> Iterator[Finding]:
    """Every version that was read had been written, and the answer to a link shows that link."""
    seen = _seen(call)
    link = links.get(seen.nonce)
    if call.kind is Kind.LINK and seen.nonce != call.nonce:
        yield Finding(Harm.LOST, call, "a link isn't in its own answer")
    if not seen.version:  # as the session was made
        return
    if link is None or link.outcome in (Outcome.ABSENT, Outcome.REFUSED) or link.began > call.ended:
        yield Finding(Harm.HALF_WRITTEN, call, "a version is there that nobody had written")


def _connected(chain: dict[int, Call], links: dict[str, Call]) -> Iterator[Finding]:
    """Each version names the one before. A version that no answer shows is a link of unknown outcome."""
    for version, call in chain.items():
        previous = _seen(call).previous
        if before := chain.get(version - 1):
            if previous != _seen(before).nonce:
                yield Finding(Harm.LOST, call, "a version doesn't name the one before it")
        elif version > 1 and (previous not in links or links[previous].outcome is not Outcome.UNKNOWN):
            yield Finding(Harm.LOST, call, "the version before was no link of unknown outcome")
    last = max(chain, default=0)
    seen = {_seen(call).nonce for version, call in chain.items() if version}
    unknown = sum(link.outcome is Outcome.UNKNOWN and link.nonce not in seen for link in links.values())
    if last - len(seen) > unknown:
        yield Finding(Harm.LOST, chain[last], "there are more versions than links")


def _forward(shown: Sequence[Call]) -> Iterator[Finding]:
    """A request after an answer sees the version of that answer or a later one; a link adds one."""
    answers = by_end(shown)
    done, floor = 0, 0
    for call in by_begin(shown):
        while answers[done].ended < call.began:
            floor = max(floor, _seen(answers[done]).version)
            done += 1
        if _seen(call).version < floor + (call.kind is Kind.LINK):
            yield Finding(Harm.LOST, call, "an older version was seen than an answer before had shown")


def _seen(call: Call) -> Seen:
    assert call.seen is not None
    return call.seen
