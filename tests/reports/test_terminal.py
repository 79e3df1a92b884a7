"""The terminal table leaves nothing out, however narrow it is; how it reads is not covered: print it and look."""

import io
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from kdflow.analysis.answer import Answer
from kdflow.analysis.cells import NOTHING, columns
from kdflow.analysis.comparison import Comparison
from kdflow.reports.terminal import Shown
from tests.comparisons import MIXED, STUDY, TEACHER, printed, with_rows

VARIED = with_rows(
    STUDY,
    tuple(
        replace(row, seed=seed, distiller=row.distiller and ("rkd", "soft-targets")[seed % 2], settings=f"lr=0.{seed}")
        for seed, row in enumerate((*STUDY.rows, replace(MIXED, model="torchvision:efficientnet_v2_s")))
    ),
)
WIDTHS = (*range(40, 101, 3), 120, 160, 200)
NOTE = "Validation images are cropped and mirrored once, as the study asks; test images are not."


def joined(text: str) -> str:
    """Without white space, as a name may go on in the next line."""
    return "".join(text.split())


@pytest.mark.parametrize("comparison", [STUDY, VARIED], ids=["a study", "one that varies in all"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_number_and_heading_is_there_at_any_width(comparison: Comparison, width: int) -> None:
    text = printed(comparison, width=width)
    assert max(map(cell_len, text.splitlines())) <= width
    for heading, cells in columns(comparison.runs).items():
        assert heading == "run" or heading in text
        if heading in ("run", "train", "val", "test", "gap", "parameters"):
            for cell in set(cells) - {NOTHING}:
                assert text.count(cell) >= cells.count(cell), f"{heading} {cell}"


@pytest.mark.parametrize("width", [40, 60])
def test_a_terminal_too_narrow_for_a_table_shows_run_under_run(width: int) -> None:
    lines = printed(VARIED, width=width).splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")][1:6] == [row.role for row in VARIED.rows]
    assert joined("model torchvision:efficientnet_v2_s") in joined("".join(lines))
    assert joined("settings lr=0.4") in joined("".join(lines))


def test_what_goes_to_a_file_is_as_wide_as_it_needs_to_be() -> None:
    stream = io.StringIO()
    row = replace(TEACHER, settings="lr=0.1, momentum=0.95, schedule=cosine, " * 5)
    console = Console(file=stream, width=40, force_terminal=False, soft_wrap=True)
    console.print(Shown(Answer.of(with_rows(VARIED, (row, *VARIED.rows)))))
    assert sum("small-cnn" in line and "71.63" in line for line in stream.getvalue().splitlines()) == 3


def test_why_validation_is_below_test_is_said_once_with_the_table_and_only_where_it_is_so() -> None:
    drawn = replace(STUDY, validation="cropped and mirrored")
    for width in (40, 200):
        assert joined(printed(drawn, width=width)).count(joined(NOTE)) == 1
    assert "Validation images" not in printed(STUDY)


def test_the_catalogue_leaves_no_letter_out_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    from kdflow.experiments import catalogue

    stream = io.StringIO()
    monkeypatch.setattr(catalogue, "console", Console(file=stream, width=40, force_terminal=True, color_system=None))
    catalogue.print_catalogue()
    assert "…" not in stream.getvalue()
