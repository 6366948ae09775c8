"""A text with a position.

It reads the parts of PHP's notation that several values share.
"""

from __future__ import annotations

import re

from .errors import malformed
from .limits import MAX_VALUES

NUMBERS = {str(number): number for number in range(2000)}
"""Numbers as PHP writes them: one look-up checks and converts most of them."""

_COUNT = re.compile("(?=[0-9])0*+([0-9]{0,9})")


class Scanner:
    """A text in which values are read, and how many there were."""

    def __init__(self, text: str) -> None:
        self.length = len(text)
        self.text = text + ";"
        """With a semicolon, so that one can always be found. What needs it ends behind `length`."""
        self.position = 0
        """Behind what was read last."""
        self._counted = 0

    def read_count(self, position: int, end: int) -> int:
        """Return the length or count between two positions.

        Zeros may lead, since a write may be padded with them.
        """
        digits = self.text[position:end]
        if digits in NUMBERS:
            return NUMBERS[digits]
        match = _COUNT.fullmatch(digits)
        if match is None:
            raise malformed("a length isn't a number", position)
        return int(match[1] or "0")

    def read_quoted(self, position: int) -> str:
        """Read a length and as many bytes in quotes, as behind `O:`."""
        colon = self.text.index(":", position)
        start = colon + 2
        end = start + self.read_count(position, colon)
        if self.text[colon + 1] != '"' or self.text[end : end + 1] != '"':
            raise malformed("a string isn't as long as it says", position)
        self.position = end + 1
        return self.text[start:end]

    def expect(self, character: str) -> None:
        """Step over one character. Raise if there is another."""
        if self.text[self.position] != character:
            raise malformed(f"there is no {character!r}", self.position)
        self.position += 1

    def count(self, values: int, position: int) -> None:
        """Count values that are about to be read. Raise for too many."""
        self._counted += values
        if self._counted > MAX_VALUES:
            raise malformed(f"it holds more than {MAX_VALUES} values", position)
