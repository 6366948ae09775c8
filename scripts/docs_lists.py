"""Show the lines of a docstring that begin with "`name`: " as a list, in the pages that mkdocstrings makes."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_NAMED = re.compile(r"`\w+`(?:, `\w+`)*: ")


class NamedLines(Extension):
    """Change docstrings when they are loaded."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Turn each such line into an item, to which the lines below it belong up to a blank one."""
        if obj.docstring is None or not obj.docstring.value:
            return
        lines, in_list = [], False
        for line in obj.docstring.value.splitlines():
            if _NAMED.match(line):
                in_list = True
                lines.append(f"- {line}")
            else:
                in_list = in_list and bool(line.strip())
                lines.append(f"  {line}" if in_list else line)
        obj.docstring.value = "\n".join(lines)
