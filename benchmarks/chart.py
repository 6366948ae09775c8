"""A table as a picture: horizontal bars of the medians, with a whisker from the least to the most."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import matplotlib

from .report import Table
from .schedule import Figure

matplotlib.use("svg")  # draws without a screen
from matplotlib import pyplot

GREY = "#78909c"  # can be read on white and on black: the documentation has a light and a dark scheme
matplotlib.rc("text", color=GREY)
matplotlib.rc("axes", labelcolor=GREY, edgecolor=GREY)
matplotlib.rc("xtick", color=GREY)
matplotlib.rc("ytick", color=GREY)
matplotlib.rc("svg", hashsalt="bench")  # the same figures make the same file


def draw(table: Table, path: Path) -> None:
    """One field for each group of rows: those that share the first cell."""
    column = table.head.index(table.charted)
    groups = [(name, list(rows)) for name, rows in groupby(table.rows, key=lambda row: str(row[0]))]
    if len(groups) == len(table.rows):
        groups = [("", list(table.rows))]  # nothing that belongs together
    sizes = [len(rows) for _, rows in groups]
    figure, fields = pyplot.subplots(
        len(groups),
        squeeze=False,
        figsize=(7, 1 + 0.28 * sum(sizes) + 0.6 * len(groups)),
        height_ratios=sizes,
        layout="constrained",
    )
    for [axes], (name, rows) in zip(fields, groups, strict=True):
        bars = [cell for row in rows if isinstance(cell := row[column], Figure)]
        labels = [", ".join(cell for cell in row[1:] if type(cell) is str) or str(row[0]) for row in rows]
        medians = [bar.median for bar in bars]
        spread = [[bar.median - bar.low for bar in bars], [bar.high - bar.median for bar in bars]]
        colours = ["#00897b" if label.startswith("ours") else "#b0bec5" for label in labels]
        axes.barh(range(len(bars)), medians, xerr=spread, color=colours, ecolor=GREY, capsize=2)
        axes.set_yticks(range(len(bars)), labels)
        axes.invert_yaxis()
        axes.set_title(name, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{table.title}: {table.charted}")
    figure.savefig(path, transparent=True, metadata={"Date": None})
    pyplot.close(figure)
