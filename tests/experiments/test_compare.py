"""What a comparison takes in and what it leaves out, on records made by hand; a real study is in test_study.py."""

from dataclasses import replace

import pytest

from kdflow.analysis import selection
from kdflow.common.errors import KdflowError
from kdflow.config import CompareConfig
from kdflow.tracking.record import Record

DATA = {"kdflow.data": "digits", "kdflow.data_digest": "d" * 32, "kdflow.split_digest": "s" * 32}
FINAL = {"final/train_accuracy": 0.9, "final/val_accuracy": 0.8, "final/test_accuracy": 0.85, "model/parameters": 100.0}


def teacher(run_id="t", **changes):
    params = {"model": "alexnet", "seed": "0", "epochs": "20"}
    record = Record(
        run_id, "FINISHED", 0, params, FINAL | {"final/test_accuracy": 0.95}, {"kdflow.role": "teacher", **DATA}, 20
    )
    return replace(record, **changes)


def student(run_id, alpha, *, taught_by="t", params=(), tags=(), **changes):
    own = {"alpha": alpha, "distiller": "soft-targets", "temperature": "4", "knobs": "", "model": "small-cnn"}
    own |= {"seed": "0", "epochs": "10"} | dict(params)
    marks = {"kdflow.role": "student", **DATA} | ({} if float(alpha) == 1 else {"kdflow.teacher_run_id": taught_by})
    return replace(Record(run_id, "FINISHED", 1, own, FINAL, marks | dict(tags), 10), **changes)


class Given:
    """Runs that are given, newest first, instead of read."""

    place = "a test"

    def __init__(self, records, deleted=0):
        self._records, self._deleted = records, deleted

    def runs(self, *roles):
        return list(self._records)

    def deleted(self, *roles):
        return self._deleted

    def history(self, run_id, names):
        return {"val/accuracy": [0.8]}

    def resolve_run(self, reference):
        return reference


@pytest.fixture
def find():
    """Compares given records, newest first, without a store."""

    def run(*records, **options):
        return selection.find(CompareConfig(**options), Given(records))

    return run


def names(comparison):
    return [row.run_id for row in comparison.rows]


def test_the_teacher_comes_first_and_students_by_falling_alpha(find):
    found = find(student("b", "0.0"), student("c", "0.50"), student("a", "1"), teacher())
    assert names(found) == ["t", "a", "c", "b"]
    assert [row.gap for row in found.rows] == [None, pytest.approx(-0.1), pytest.approx(-0.1), pytest.approx(-0.1)]
    assert found.footnotes == ()


@pytest.mark.parametrize("status", ["RUNNING", "FAILED", "KILLED"])
def test_unfinished_runs_are_left_out_and_counted(find, status):
    found = find(student("x", "0.5", status=status), student("a", "0"), teacher())
    assert names(found) == ["t", "a"]
    assert found.footnotes == ("Left out: 1 run unfinished.",)


@pytest.mark.fault
@pytest.mark.parametrize(
    "partial",
    [
        {"metrics": {}},
        {"metrics": FINAL | {"final/test_accuracy": float("nan")}},
        {"metrics": FINAL | {"final/val_accuracy": float("inf")}},
        {"metrics": FINAL | {"model/parameters": 0.0}},
        {"trained": 3},
        {"trained": 0},
        {"params": {"epochs": "ten"}},
        {"params": {"seed": ""}},
        {"params": {"temperature": "nan"}},
        {"tags": {"kdflow.role": "student"}},
    ],
)
def test_a_finished_run_that_is_not_whole_is_neither_ranked_nor_counted_as_a_figure(find, record_property, partial):
    params = partial.pop("params", {}) if "params" in partial else {}
    whole = student("x", "0.5", params=params)
    found = find(replace(whole, **partial), student("a", "0"), teacher())
    record_property("faults", 1)
    assert names(found) == ["t", "a"]
    assert found.footnotes == ("Left out: 1 run without all epochs, figures and settings.",)


def test_what_is_left_out_is_counted_by_reason():
    records = [student(str(n), "0.5", status=status) for n, status in enumerate(["FAILED", "KILLED", "RUNNING"])]
    found = selection.find(
        CompareConfig(), Given([*records, student("a", "0", trained=2), student("b", "0"), teacher()], 2)
    )
    assert names(found) == ["t", "b"]
    assert sorted(found.footnotes) == [
        "Left out: 1 run without all epochs, figures and settings.",
        "Left out: 2 runs deleted.",
        "Left out: 3 runs unfinished.",
    ]


@pytest.mark.parametrize(("students", "drawn"), [(28, 29), (29, 30), (30, 30), (60, 30)])
def test_figures_show_a_few_runs_and_say_so_only_if_there_are_more(find, students, drawn):
    found = find(*(student(str(n), "0.5", params={"temperature": str(1 + n)}) for n in range(students)), teacher())
    assert len(found.rows) == students + 1
    assert sum(bool(row.history) for row in found.rows) == drawn
    assert found.footnotes == ((f"Figures show the 30 newest runs of {students + 1}.",) if students > 29 else ())


def test_a_student_that_teaches_is_the_teacher_of_its_students_and_no_row_twice(find):
    graduate = student("g", "1", params={"seed": "3"})
    found = find(student("a", "0", taught_by="g"), graduate, teacher())
    assert [(row.run_id, row.role, row.label) for row in found.rows] == [
        ("g", "teacher", "teacher"),
        ("a", "student", "alpha = 0, T = 4"),
    ]
    assert find(student("a", "0", taught_by="g"), graduate, teacher(), teacher="g").rows == found.rows


@pytest.mark.parametrize("tag", ["kdflow.data_digest", "kdflow.split_digest"])
def test_other_data_and_other_splits_are_left_out(find, tag):
    found = find(student("a", "0"), student("x", "0.5", tags={tag: "other"}), teacher())
    assert names(found) == ["t", "a"]
    assert found.footnotes == ("Left out: 1 run on other data or another split.",)


def test_students_of_another_teacher_are_left_out(find):
    found = find(student("a", "0"), student("x", "0", taught_by="u"), teacher(), teacher("u"))
    assert names(found) == ["t", "a"]
    assert found.footnotes == ("Left out: 2 runs of another teacher.",)


def test_a_teacher_can_be_named(find):
    found = find(student("a", "0"), student("x", "0", taught_by="u"), teacher(), teacher("u"), teacher="u")
    assert names(found) == ["u", "x"]


def test_of_runs_with_the_same_settings_the_newest_counts_however_they_are_spelt(find):
    spelt = {"temperature": "4.0", "augment_val": "True"}
    found = find(student("new", "0.50", params={"augment_val": "true"}), student("old", "0.5", params=spelt), teacher())
    assert names(found) == ["t", "new"]
    assert found.footnotes == ("Left out: 1 run older than a run with the same settings.",)


def test_settings_without_effect_at_alpha_1_make_no_second_row(find):
    found = find(student("new", "1"), student("old", "1.0", params={"temperature": "2"}), teacher())
    assert names(found) == ["t", "new"]


@pytest.mark.parametrize("other", [{"seed": "5"}, {"epochs": "3"}, {"model": "alexnet"}])
def test_alpha_1_is_taken_if_it_differs_from_the_teachers_students_in_the_loss_alone(find, other):
    found = find(student("a", "0"), student("b", "1"), student("c", "1", params=other), teacher())
    assert names(found) == ["t", "b", "a"]
    assert found.footnotes == ("Left out: 1 run with alpha = 1 and another seed or recipe.",)


def test_other_temperatures_and_distillers_are_rows_of_their_own(find):
    hot = student("b", "0", params={"temperature": "1"})
    hard = student("c", "0", params={"distiller": "hard-targets"})
    found = find(student("a", "0"), hot, hard, teacher())
    assert {(row.run_id, row.distiller, row.temperature) for row in found.rows[1:]} == {
        ("a", "soft-targets", 4.0),
        ("b", "soft-targets", 1.0),
        ("c", "hard-targets", None),
    }


def test_a_teacher_alone_can_be_shown(find):
    assert names(find(teacher())) == ["t"]


def test_students_of_a_teacher_that_was_deleted_are_shown_without_a_gap(find):
    found = find(student("a", "0"), student("b", "1"))
    assert names(found) == ["b", "a"]
    assert [row.gap for row in found.rows] == [None, None]
    assert found.footnotes == ("The teacher, run t, is not in a test.",)


def test_rows_say_in_what_they_differ(find):
    slow = student("a", "0", params={"lr": "0.050", "knobs": ""})
    fast = student("b", "0", params={"lr": "1e-1", "knobs": ""})
    assert {row.run_id: row.settings for row in find(slow, fast, teacher()).rows} == {
        "t": "",
        "a": "lr=0.05",
        "b": "lr=0.1",
    }


def test_a_distiller_that_is_not_registered_here_is_a_row_all_the_same(find):
    (_, row) = find(student("a", "0", params={"distiller": "of-a-colleague"}), teacher()).rows
    assert (row.distiller, row.temperature) == ("of-a-colleague", None)


def test_students_without_any_teacher_have_no_gap(find):
    (row,) = find(student("a", "1")).rows
    assert row.gap is None


def test_one_data_set_can_be_asked_for(find):
    other = {"kdflow.data": "cifar10", "kdflow.data_digest": "e"}
    found = find(student("x", "1", tags=other), student("a", "0"), teacher(), dataset="digits")
    assert names(found) == ["t", "a"]


@pytest.mark.parametrize("records", [[], [student("x", "0", status="RUNNING")]])
def test_nothing_to_compare_is_one_line_that_says_how_to_begin(find, records):
    with pytest.raises(KdflowError, match="kdflow study"):
        find(*records)


def test_what_mlflow_run_logged_as_auto_is_what_it_came_to_mean(find):
    settled = student("a", "1", params={"precision": "bf16"}, tags={"kdflow.precision": "bf16"})
    by_mlflow_run = student("b", "0", params={"precision": "auto"}, tags={"kdflow.precision": "bf16"})
    in_fp32 = student("c", "1", params={"precision": "auto"}, tags={"kdflow.precision": "fp32"})
    found = find(by_mlflow_run, settled, in_fp32, teacher())
    assert [row.run_id for row in found.rows] == ["t", "a", "b"]


def test_without_a_name_it_is_the_teacher_with_the_most_students(find):
    few, many = student("x", "0", taught_by="u"), [student("a", "0"), student("b", "0.5")]
    assert names(find(few, *many, teacher("u"), teacher())) == ["t", "b", "a"]
    assert names(find(few, many[0], teacher("u"), teacher())) == ["u", "x"], "of equals, the newest"
    assert names(find(*many, few, teacher("u"))) == ["u", "x"], "one that is gone only if no other has students"


def test_students_of_other_data_do_not_count_for_a_teacher(find):
    other = [student(str(n), "0", taught_by="u", tags={"kdflow.split_digest": "o"}) for n in range(3)]
    foreign = teacher("u", tags={"kdflow.role": "teacher", **DATA, "kdflow.split_digest": "o"})
    assert names(find(student("a", "0"), *other, foreign, teacher())) == ["t", "a"]


def test_runs_that_log_no_settings_without_effect_are_compared_with_those_that_do(find):
    """`mlflow run`, and kdflow until 0.1, log distiller, temperature and teacher whatever their effect."""

    def bare(run_id, alpha, without, **params):
        whole = student(run_id, alpha, params=params)
        return replace(whole, params={name: value for name, value in whole.params.items() if name not in without})

    loss = ("distiller", "temperature", "knobs")
    found = find(
        bare("new", "1", loss),
        student("old", "1.0", params={"teacher": ""}),
        bare("hard", "0", ("temperature",), distiller="hard-targets", teacher_run_id="t"),
        student("harder", "0", params={"distiller": "hard-targets", "teacher": "t"}),
        bare("foreign", "0", ("temperature",), distiller="of-a-colleague"),
        bare("broken", "0", ("temperature",)),
        teacher(),
    )
    assert names(found) == ["t", "new", "hard", "foreign"]
    assert [row.temperature for row in found.rows] == [None] * 4
    assert sorted(found.footnotes) == [
        "Left out: 1 run without all epochs, figures and settings.",
        "Left out: 2 runs older than a run with the same settings.",
    ]


def test_a_folder_is_not_taken_for_another_of_its_name(find, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in ("pets/data", "fruit/data"):
        (tmp_path / place).mkdir(parents=True)
    data = DATA | {"kdflow.data": "data"}
    pets, fruit = ({"kdflow.dataset": str(tmp_path / name / "data")} for name in ("pets", "fruit"))
    runs = [
        student("a", "0", tags=data | pets),
        teacher(tags={"kdflow.role": "teacher", **data, **pets}),
        student("b", "1", tags=data | fruit | {"kdflow.data_digest": "f"}),
    ]
    assert names(find(*runs, dataset="fruit/data")) == ["b"]
    assert names(find(*runs, dataset="data")) == ["t", "a"], "by the name alone it is that of the newest run"
    (tmp_path / "fruit" / "data").rename(tmp_path / "data")
    assert names(find(runs[2], dataset="data")) == ["b"], "a folder that was moved"
    with pytest.raises(KdflowError, match="no finished training run on fruit/data"):
        find(*runs[:2], dataset="fruit/data")
