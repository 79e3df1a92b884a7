"""The figures of a comparison draw its facts and no others. How they look is not covered: draw them and look."""

from dataclasses import replace

import pytest

from kdflow.reports import formats
from kdflow.reports.lettering import run_labels
from tests.comparisons import HISTORY, LABELS_ONLY, MIXED, STUDY, TEACHER, TEACHER_ONLY, legend, png, with_rows


def test_the_loss_curves_hold_one_line_per_run_and_panel() -> None:
    figure = formats.loss_curves(STUDY)
    metrics = ("train/loss", "val/loss", "train/label_loss", "val/label_loss")
    for panel, metric in zip(figure.axes, metrics, strict=True):
        assert [list(line.get_ydata()) for line in panel.lines] == [row.history[metric] for row in STUDY.rows]
        assert all(list(line.get_xdata()) == [1, 2] for line in panel.lines)
    assert [panel.get_yscale() for panel in figure.axes] == ["log", "log", "linear", "linear"]
    assert legend(figure) == ["teacher", "alpha = 1", "alpha = 0.5, T = 4", "alpha = 0, T = 4"]


def test_alphas_differ_in_colour_and_temperatures_in_line_style() -> None:
    figure = formats.loss_curves(with_rows(STUDY, (*STUDY.rows, replace(MIXED, temperature=1.0))))
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert len({line.get_color() for line in lines.values()}) == 4
    assert lines["alpha = 0.5, T = 1"].get_color() == lines["alpha = 0.5, T = 4"].get_color()
    assert lines["alpha = 0.5, T = 1"].get_linestyle() != lines["alpha = 0.5, T = 4"].get_linestyle()


def test_runs_that_differ_in_seed_model_or_nothing_get_labels_of_their_own() -> None:
    rows = (
        MIXED,
        replace(MIXED, seed=1),
        replace(TEACHER_ONLY, model="other"),
        TEACHER_ONLY,
        LABELS_ONLY,
        replace(LABELS_ONLY, run_id="5" * 32),
    )
    assert run_labels(rows) == [
        "alpha = 0.5, T = 4, seed 0",
        "alpha = 0.5, T = 4, seed 1",
        "alpha = 0, T = 4, other",
        "alpha = 0, T = 4, small-cnn",
        "alpha = 1, 11111111",
        "alpha = 1, 55555555",
    ]


def test_a_metric_that_is_missing_is_not_drawn() -> None:
    row = replace(TEACHER, history={"val/loss": [1.0, 0.5]})
    assert [len(panel.lines) for panel in formats.loss_curves(with_rows(STUDY, (row,))).axes] == [0, 1]
    assert [len(panel.lines) for panel in formats.run_curves("a", row.history).axes] == [1, 0]


def test_a_single_epoch_shows_a_point() -> None:
    history = {name: values[:1] for name, values in HISTORY.items()}
    rows = tuple(replace(row, epochs=1, history=history) for row in STUDY.rows)
    for figure in (formats.loss_curves(with_rows(STUDY, rows)), formats.run_curves("a", history)):
        assert png(figure)
        for panel in figure.axes:
            assert [tick for tick in panel.get_xticks() if 0.5 <= tick <= 1.5] == [1]
            assert all(line.get_marker() not in ("", "None") for line in panel.lines)


def test_single_runs_are_dots_with_their_values_teachers_and_students_on_scales_of_their_own() -> None:
    figure = formats.accuracy_dots(STUDY)
    teacher, students = figure.axes[2], figure.axes[5]
    assert [list(line.get_xdata()) for line in students.lines] == [pytest.approx([71.63])] * 3
    assert [text.get_text() for text in students.texts] == ["71.63"] * 3
    assert teacher.lines[0].get_xdata() == pytest.approx([81.34])
    low, high = students.get_xlim()
    assert high - low < 3, "an axis that shows a point"


def test_a_run_at_chance_flattens_no_panel_and_is_marked_at_the_edge_with_its_value() -> None:
    rows = [replace(MIXED, test_accuracy=accuracy) for accuracy in (0.71, 0.72, 0.73, 0.1)]
    panel = formats.accuracy_dots(with_rows(STUDY, rows), ("test",)).axes[0]
    low, high = panel.get_xlim()
    assert 70 < low < high < 75
    assert "10.00" in [text.get_text() for text in panel.texts]
    assert [line.get_marker() for line in panel.lines].count("<") == 1


def test_a_run_that_diverges_flattens_no_curve_and_is_named() -> None:
    known = {"val/label_loss": [1.0, 0.9], "val/loss": [1.0, 0.9]}
    rows = [replace(MIXED, temperature=float(place), history=known) for place in range(1, 6)]
    rows.append(replace(MIXED, temperature=9.0, history={"val/label_loss": [1.0, 1e6], "val/loss": [float("nan")] * 2}))
    panels = formats.loss_curves(with_rows(STUDY, rows)).axes
    assert panels[3].get_ylim()[1] < 2
    for panel in (panels[1], panels[3]):
        assert [text.get_text() for text in panel.texts] == ["beyond this axis: alpha = 0.5, T = 9"]


def test_the_curves_of_a_run_are_loss_and_percent() -> None:
    figure = formats.run_curves("a run", HISTORY)
    drawn = [[list(line.get_ydata()) for line in panel.lines] for panel in figure.axes]
    assert drawn == [[[2.0, 1.5], [1.9, 1.6]], [[30.0, 50.0], [35.0, 45.0]]]
    assert legend(figure) == ["training", "validation"]


def test_a_long_legend_leaves_the_panels_their_room() -> None:
    rows = tuple(replace(MIXED, settings=f"lr=0.1, momentum=0.{place}, cosine") for place in range(40))
    figure = formats.loss_curves(with_rows(STUDY, rows))
    assert png(figure)
    heights = [panel.get_window_extent().height / figure.dpi for panel in figure.axes]
    assert min(heights) > 1.5, "inches"


def test_the_figures_say_how_validation_images_differ_from_test_images() -> None:
    drawn = replace(STUDY, validation="cropped and mirrored")
    titles = [panel.get_title() for panel in formats.loss_curves(drawn).axes]
    assert titles == ["training", "validation (cropped and mirrored once)"] * 2
    assert formats.accuracy_dots(drawn).get_supxlabel().endswith("once, as the study asks; test images are not.")
    assert legend(formats.run_curves("a", HISTORY, validation="cropped"))[1] == "validation (cropped once)"
    assert formats.accuracy_dots(STUDY).get_supxlabel() == "accuracy in %"


def test_the_interval_of_a_mean_over_seeds_is_that_of_scipy() -> None:
    from scipy import stats

    from kdflow.reports.dots import t_interval

    values = [71.0, 72.5, 71.8, 73.1]
    expected = stats.t.interval(0.95, 3, loc=sum(values) / 4, scale=stats.sem(values))
    assert t_interval(values) == pytest.approx(expected)
    assert t_interval(values[:1]) is None
