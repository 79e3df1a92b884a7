"""What a benchmark found: tables in markdown for people, the same figures in JSON for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measuring.stats import Spread


@dataclass(frozen=True)
class Target:
    """What a figure is meant to reach."""

    bound: float
    unit: str = ""
    at_least: bool = True

    def judge(self, value: float) -> str:
        met = value >= self.bound if self.at_least else value <= self.bound
        side = "at least" if self.at_least else "at most"
        return f"{side} {self.bound:g}{self.unit}: {'met' if met else 'missed'}"


@dataclass
class Section:
    """One table.

    Attributes:
        title: Its headline.
        columns: Their headlines.
        rows: Texts, one for each column.
        notes: What a reader must know to read it.
        figures: The same in numbers, by name.
        failed: There is no table; the notes say why.
    """

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    failed: bool = False

    def add(
        self, name: str, value: Spread, *, form: str = "{:.2f}", unit: str = "", target: Target | None = None
    ) -> None:
        """A row of a table of (what, measured, target)."""
        judged = target.judge(value.median) if target else ""
        self.rows.append((name, value.show(form) + unit, judged))
        self.figures[name] = {**vars(value), "unit": unit.strip(), "target": judged}

    def markdown(self) -> str:
        lines = [f"## {self.title}", ""]
        if self.rows:
            lines += [table(self.columns, self.rows), ""]
        return "\n".join(lines + [note + "\n" for note in self.notes])


MEASURED = ("figure", "median (lowest..highest)", "target")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In markdown."""
    lines = [f"| {' | '.join(cells)} |" for cells in (columns, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(columns), *lines[1:]])


def write(path: Path, facts: Mapping[str, Any], sections: Mapping[str, Section]) -> None:
    """Writes all figures beside what they were measured on."""
    found = {name: {"title": one.title, "notes": one.notes, **one.figures} for name, one in sections.items()}
    path.write_text(json.dumps({**facts, "sections": found}, indent=2) + "\n", encoding="utf-8")
