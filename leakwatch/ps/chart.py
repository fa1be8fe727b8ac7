"""What a chart shows: bars or shares of the rows, those of one label together. ``bars`` and ``figure`` draw it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leakwatch.errors import UsageError
from leakwatch.ps.table import Scale, suffixed
from leakwatch.ps.views import Row, View, ViewKind
from leakwatch.text.escape import printable

SHOWN = 20
"""Bars: more than a screen of them is a list, which the table is better at."""
SMALL = 0.005
"""Share of the whole below which a slice of the pie is put under "other", as in smem."""
TAIL = 0.02
"""Share of the whole up to which the smallest slices together are, too."""
OTHER = "other"
_NO_AMOUNT = frozenset({"pid", "order"})

Values = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn, in a terminal or in a file: for each label a value a column, the largest first."""

    title: str
    columns: tuple[str, ...]
    """Their headings."""
    sizes: bool
    """Whether the values are bytes."""
    labels: tuple[str, ...]
    values: tuple[Values, ...]
    whole: int | None
    """What 100 % is; None where that is the sum of what is shown."""
    longest: int
    """What the longest bar stands for."""
    left_out: str = ""
    """What is not drawn, in words."""

    def text(self, value: int) -> str:
        """Return a value as it is shown."""
        return suffixed(value) if self.sizes else str(value)


def bars(view: View, rows: Sequence[Row], label: str, columns: tuple[str, ...], scale: Scale) -> Chart:
    """Return the largest by the first column; raises UsageError for what is no number, or not of one kind."""
    sizes = _are_sizes(view, columns)
    found = _by_label(rows, label, columns)
    shown, rest = found[:SHOWN], [values[0] for _, values in found[SHOWN:]]
    amount = suffixed(sum(rest)) if sizes else str(sum(rest))
    return Chart(
        title=_title(view, label, columns),
        columns=tuple(view.columns[name].heading for name in columns),
        sizes=sizes,
        labels=tuple(name for name, _ in shown),
        values=tuple(values for _, values in shown),
        whole=scale.whole(columns[0]) if sizes else None,
        longest=max((max(values) for _, values in shown), default=0),
        left_out=f"{len(rest)} more, not drawn: {view.columns[columns[0]].heading} {amount} together" if rest else "",
    )


def shares(view: View, rows: Sequence[Row], label: str, column: str, scale: Scale) -> Chart:
    """Return every label's share, small ones under "other", and what none of them holds as the last."""
    sizes = _are_sizes(view, (column,))
    found = [(name, values[0]) for name, values in _by_label(rows, label, (column,)) if values[0]]
    total = sum(value for _, value in found)
    whole = max(total, (scale.whole(column) if sizes else None) or 0)
    other = 0
    while found and (other + found[-1][1] < TAIL * whole or found[-1][1] < SMALL * whole):
        other += found.pop()[1]
    if other:
        found.append((OTHER, other))
    if whole > total:
        found.append(("unused" if column == "swap" else "everything else", whole - total))
    return Chart(
        title=_title(view, label, (column,)),
        columns=(view.columns[column].heading,),
        sizes=sizes,
        labels=tuple(name for name, _ in found),
        values=tuple((value,) for _, value in found),
        whole=whole if sizes else None,
        longest=whole,
    )


def _are_sizes(view: View, columns: tuple[str, ...]) -> bool:
    for name in columns:
        if view.columns[name].kind is ViewKind.TEXT or name in _NO_AMOUNT:
            raise UsageError(f"a chart draws sizes or counts, not {name}; choose one with -s, like -s {view.drawn}")
    return all(view.columns[name].kind is ViewKind.SIZE for name in columns)


def _by_label(rows: Sequence[Row], label: str, columns: tuple[str, ...]) -> list[tuple[str, Values]]:
    """Return the sums by label, the largest first by the first column; rows with a value that is unknown are left out.

    A pool of workers is one bar, and so is what is left of a name after it was made printable.
    """
    sums: dict[str, list[Values]] = {}
    for row in rows:
        values = [value for name in columns if isinstance(value := row[name], int)]
        if len(values) == len(columns):
            sums.setdefault(printable(str(row[label])), []).append(tuple(values))
    found = [
        (f"{name} ({len(parts)})" if len(parts) > 1 else name, tuple(map(sum, zip(*parts, strict=True))))
        for name, parts in sums.items()
    ]
    return sorted(found, key=lambda one: one[1][0], reverse=True)


def _title(view: View, label: str, columns: tuple[str, ...]) -> str:
    return f"{', '.join(view.columns[name].heading for name in columns)} by {label}"
