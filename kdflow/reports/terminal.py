"""An answer in a terminal: its sentence and a table, or where that is too wide, line under line; all of it."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from kdflow.analysis.answer import Answer
from kdflow.analysis.cells import NAMES, NOTHING
from kdflow.common.notebook import in_notebook
from kdflow.common.text import plain

NARROWEST, WIDEST = 16, 40  # columns of a terminal that are left to a name, which goes on in the next line
UNBOUNDED = 10_000


@dataclass(frozen=True)
class Shown:
    """The answer, then runs or the arms of several seeds, with notes below; to a file as wide as it needs to be."""

    answer: Answer

    @property
    def table(self) -> Table:
        """As wide as it likes to be."""
        return _table(self._title, self._columns, self._below)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width if console.is_terminal and not in_notebook() else UNBOUNDED
        wrapping = options.update(max_width=width, no_wrap=False, overflow="fold")
        if self.answer.sentence:
            yield from console.render(Text(f"{plain(self.answer.sentence)}\n", style="bold"), wrapping)
        if _least_width(self._columns) <= width:
            yield from console.render(self.table, wrapping)
        else:
            for line in (self._title, *_stacked(self._columns, width), *self._below):
                yield from console.render(Text(line), wrapping)

    @property
    def _title(self) -> str:
        return f"Accuracy on {plain(self.answer.comparison.dataset)}"

    @property
    def _columns(self) -> dict[str, list[str]]:
        return {heading: list(map(plain, cells)) for heading, cells in self.answer.cells.items()}

    @property
    def _below(self) -> list[str]:
        return list(map(plain, (*self.answer.remarks, *self.answer.comparison.footnotes)))


def text_table(shown: Mapping[str, Sequence[str]], words: Collection[str]) -> str:
    """Columns of any text as lines of aligned cells, as wide as they need to be.

    Args:
        shown: Heading to cells.
        words: Headings of the columns that hold words, on the left; numbers are on the right.
    """
    columns = [[heading, *map(plain, cells)] for heading, cells in shown.items()]
    widths = [max(map(cell_len, cells)) for cells in columns]
    places = list(zip(widths, (heading in words for heading in shown), strict=True))
    lines = (
        "  ".join(_padded(cell, *place) for cell, place in zip(line, places, strict=True)).rstrip()
        for line in zip(*columns, strict=True)
    )
    return "\n".join(lines)


def _padded(cell: str, width: int, left: bool) -> str:
    blanks = " " * (width - cell_len(cell))
    return cell + blanks if left else blanks + cell


def _least_width(shown: Mapping[str, list[str]]) -> int:
    """How narrow the table can be before it would have to leave something out."""
    return sum(map(_least, shown, shown.values())) + (len(shown) - 1)


def _least(heading: str, cells: Iterable[str]) -> int:
    longest = max(map(cell_len, (heading, *cells)))
    return longest if _is_whole(heading) else min(longest, NARROWEST)


def _is_whole(heading: str) -> bool:
    """Whether cells stay in one line: all numbers, and what a run is."""
    return heading not in NAMES or heading == "run"


def _table(title: str, shown: Mapping[str, list[str]], below: Iterable[str]) -> Table:
    drawn = Table(
        title=Text(title),
        caption=Text("\n".join(below)),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,  # with the two lines below, three students fit into 80 columns
        pad_edge=False,
        show_edge=False,
    )
    for heading in shown:
        drawn.add_column(
            Text(heading),
            justify="left" if heading in NAMES else "right",
            no_wrap=_is_whole(heading),
            overflow="fold",
            max_width=None if _is_whole(heading) else WIDEST,
        )
    for cells in zip(*shown.values(), strict=True):
        drawn.add_row(*map(Text, cells))
    return drawn


def _stacked(shown: Mapping[str, list[str]], width: int) -> Iterator[str]:
    """Each run and what there is to say of it, in lines of at most the width unless one name or number is longer."""
    for cells in zip(*shown.values(), strict=True):
        facts = dict(zip(shown, cells, strict=True))
        line = facts.pop("run")
        for fact in (f"{heading} {cell}" for heading, cell in facts.items() if cell != NOTHING):
            if cell_len(f"{line}  {fact}") > width:
                yield line
                line = ""
            line += f"  {fact}"
        yield line
