"""The functions of `import kdflow`: what they take, what they leave alone, what a notebook shows of their results.

That they train is in tests/experiments; a real notebook is not covered: open one and look.
"""

import inspect
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kdflow
from kdflow.common.errors import UsageError
from kdflow.config import (
    CohortConfig,
    CompareConfig,
    StudentConfig,
    StudyConfig,
    TeacherConfig,
    configure,
    flat,
    options,
)
from tests.comparisons import STUDY, TEACHER, with_rows
from tests.reports.reading import Read
from tests.reports.test_escaping import for_names, named
from tests.reports.test_report import OURS

CONFIGS: dict[str, Any] = {
    "teacher": TeacherConfig(),
    "student": StudentConfig(),
    "cohort": CohortConfig(),
    "study": StudyConfig(),
    "compare": CompareConfig(),
}
every_kind = pytest.mark.parametrize("kind", CONFIGS)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The configs that reach the commands, which do nothing else here."""
    from kdflow.experiments import commands, study

    configs: list[Any] = []
    for kind in CONFIGS:
        monkeypatch.setattr(
            study if kind == "study" else commands, f"run_{kind}", lambda config, nested: configs.append(config)
        )
    return configs


@every_kind
def test_a_function_offers_every_option_of_its_command_and_takes_what_it_shows(kind: str, seen: list[Any]) -> None:
    function = getattr(kdflow, f"run_{kind}")
    shown = {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}
    assert shown.pop("nested") is False
    assert shown == flat(CONFIGS[kind])
    assert all(f"    {name}: " in function.__doc__ for name in options(CONFIGS[kind]))
    function(**shown)
    function(**dict.fromkeys(shown))
    assert seen == [CONFIGS[kind]] * 2, "None is the default"


@pytest.mark.parametrize("alphas", [0.5, [0.5], (np.float32(0.5),), np.array([0.5]), np.array(0.5), "0.5", {0.5: 1}])
def test_numbers_come_single_or_in_anything_that_lists_them(alphas: object, seen: list[Any]) -> None:
    kdflow.run_study(alphas=alphas, temperatures=4, student_epochs=np.int64(3), flip=np.bool_(False), dataset=Path("x"))
    assert seen == [
        configure(StudyConfig(), alphas="0.5", temperatures="4", student_epochs="3", flip="false", dataset="x")
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"alpha": 2}, r"--alpha is '2': give a number from 0 to 1 \(default 0.5\)"),
        ({"epochs": 1.5}, "--epochs is '1.5': give a whole number"),
        ({"seed": [0, 1]}, "--seed is '0,1': give a whole number"),
        ({"dataset": 3}, "--dataset is '3': give a text"),
        ({"alhpa": 1}, "there is no option 'alhpa': choose from alpha, .*; did you mean alpha\\?"),
    ],
)
def test_a_wrong_option_is_an_error_of_kdflow_with_the_words_of_the_command_line(
    given: dict[str, object], message: str
) -> None:
    with pytest.raises(kdflow.KdflowError, match=message) as caught:
        kdflow.run_student(**given)
    assert isinstance(caught.value, UsageError)


def test_knobs_may_be_a_mapping(seen: list[Any]) -> None:
    kdflow.run_student(distiller="rkd", knobs={"distance": 25, "angle": 0.5})
    assert seen == [configure(StudentConfig(), distiller="rkd", knobs="distance=25,angle=0.5")]


def test_an_option_that_a_study_has_twice_is_asked_back() -> None:
    with pytest.raises(UsageError, match=r"no option 'lr': .*did you mean teacher_lr or student_lr"):
        kdflow.run_study(lr=0.1)


def test_for_the_time_of_a_call_mlflow_is_quiet_and_impatient_and_afterwards_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from kdflow.experiments import commands

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    logger = logging.getLogger("mlflow")
    before, level = {**os.environ}, logger.level
    within: dict[str, str] = {}

    def look(config: object, *, nested: bool) -> None:
        within.update(os.environ, level=str(logger.level))
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "run_compare", look)
    with pytest.raises(KeyboardInterrupt):
        kdflow.run_compare()
    assert within["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] == "true", "a printed address can hold a password"
    assert within["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert (within["MLFLOW_HTTP_REQUEST_TIMEOUT"], within["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) == ("7", "1")
    assert within["level"] == str(logging.ERROR)
    assert ({**os.environ}, logger.level) == (before, level)


def test_the_package_lists_what_it_offers_and_has_nothing_else() -> None:
    assert {"run_study", "run_teacher", "run_student", "run_cohort", "run_compare", "run_report"} <= set(dir(kdflow))
    with pytest.raises(AttributeError, match="'kdflow' has no attribute 'run_stduy'"):
        _ = kdflow.run_stduy  # type: ignore[attr-defined]


def test_a_comparison_becomes_a_frame_of_one_line_a_run() -> None:
    frame = STUDY.to_frame()
    assert list(frame["run_id"]) == [row.run_id for row in STUDY.rows]
    assert list(frame["test_accuracy"]) == [row.test_accuracy for row in STUDY.rows]
    assert "history" not in frame
    assert list(with_rows(STUDY, ()).to_frame().columns) == list(frame.columns)


def test_a_notebook_shows_a_comparison_as_a_table_with_its_notes() -> None:
    read = Read(replace(STUDY, validation="cropped")._repr_html_())
    assert read.tags.count("tr") == 1 + len(STUDY.rows)
    assert "71.63" in read.texts["td"]
    assert any("Validation images are cropped once" in text for texts in read.texts.values() for text in texts)


@for_names()
def test_a_name_stays_text_in_a_notebook(name: str) -> None:
    read = Read(named(name)._repr_html_())
    assert set(read.tags) <= OURS | {"b", "br"}
    assert {key for key, _ in read.attributes} <= {"class"}


def test_a_notebook_shows_a_trained_model_with_its_accuracies() -> None:
    from torch import nn

    from kdflow.experiments.results import Trained

    scores = {f"final/{split}_accuracy": 0.5 for split in ("train", "val", "test")} | {"final/test_loss": 1.5}
    trained = Trained(TEACHER.run_id, nn.Identity(), "models:/<x>/1", scores, "cropped")
    read = Read(trained._repr_html_())
    assert read.texts["td"] == [TEACHER.run_id, "models:/<x>/1", "50.00", "50.00", "50.00"]
    assert "Validation images are cropped once" in trained._repr_html_()
    assert dict(trained.to_frame().iloc[0]) == {
        "run_id": TEACHER.run_id,
        "address": "models:/<x>/1",
        "train_accuracy": 0.5,
        "val_accuracy": 0.5,
        "test_accuracy": 0.5,
        "test_loss": 1.5,
    }
    assert "Identity" not in repr(trained)
