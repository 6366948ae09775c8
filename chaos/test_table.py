"""Check that the table of a long run adds up, and that its columns are aligned, whatever was found."""

from __future__ import annotations

from collections import Counter

from . import table
from .calls import Harm
from .faults import FAULTS
from .phases import Phase


def test_the_last_row_is_the_sum() -> None:
    some = Phase("server_killed", 0, 1, operations=5, errors=Counter({503: 2}), harm=Counter({Harm.LOST: 1}))
    more = Phase("none", 0, 1, operations=7, errors=Counter({503: 1, 0: 1}), normal_after=1.5)
    assert " ".join(table.total([some, more]).split()) == "all all 2 12 0 1.5 s 1 0 0 0 1xnone 3x503"


def test_columns_are_as_wide_in_every_row() -> None:
    many = Phase("none", 0, 1, operations=1_000_000_000, acknowledged=10**9, harm=Counter(dict.fromkeys(Harm, 10**3)))
    rows = [table.head(), *(table.row(store, many) for store in FAULTS), table.total([many])]
    starts = {line.rindex(line.split()[-1]) for line in rows}
    assert len(starts) == 1
