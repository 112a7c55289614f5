# SPDX-License-Identifier: Apache-2.0
"""Figures with their spread, tables of them, and the bars they are held against."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Figure:
    """What the rounds gave for one thing."""

    values: tuple[float, ...]
    digits: int = 2

    @property
    def middle(self) -> float:
        return median(self.values)

    def over(self, other: Figure) -> Figure:
        """The ratio, round by round: rounds share their noise."""
        return Figure(tuple(a / b for a, b in zip(self.values, other.values, strict=True)))

    def __str__(self) -> str:
        text = f"{self.middle:,.{self.digits}f}"
        if len(self.values) == 1:
            return text
        return f"{text} ({min(self.values):,.{self.digits}f}..{max(self.values):,.{self.digits}f})"


def figure(values: Iterable[float], digits: int = 2) -> Figure:
    return Figure(tuple(values), digits)


def mib(values: Iterable[float]) -> Figure:
    """Bytes, the most of all rounds: a peak has no middle."""
    return Figure((max(values) / (1 << 20),), 0)


@dataclass
class Table:
    title: str
    head: Sequence[str]
    note: str = ""
    rows: list[Sequence[object]] = field(default_factory=list)

    def add(self, *cells: object) -> None:
        self.rows.append(cells)

    def lines(self) -> list[str]:
        texts = [list(self.head), *([("" if c is None else str(c)) for c in row] for row in self.rows)]
        widths = [max(len(row[i]) for row in texts) for i in range(len(self.head))]
        padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in texts)
        rows = [f"| {' | '.join(row)} |" for row in padded]
        rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        note = [self.note, ""] if self.note else []
        return [f"## {self.title}", "", *note, rows[0], rule, *rows[1:], ""]


@dataclass
class Bars:
    """What was promised, what was found."""

    table: Table = field(default_factory=lambda: Table("Bars", ("what", "bar", "found", "met")))

    def at_least(self, what: str, bar: float, found: Figure) -> None:
        self._add(what, f"at least {bar:g}", found, found.middle >= bar)

    def at_most(self, what: str, bar: float, found: Figure, unit: str = "") -> None:
        self._add(what, f"at most {bar:g}{unit}", found, found.middle <= bar)

    def never_above(self, what: str, bar: float, found: Figure, unit: str = "") -> None:
        """A promise for each time, not for the middle one."""
        self._add(what, f"never above {bar:g}{unit}", found, max(found.values) <= bar)

    def _add(self, what: str, bar: str, found: Figure, met: bool) -> None:
        self.table.add(what, bar, found, "yes" if met else "**no**")
