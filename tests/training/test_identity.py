"""Runs log what has an effect on them, and nothing that they do not have; equal signatures mean equal trainings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kdflow.config import StudentConfig, StudyConfig, TeacherConfig, configure, logged
from kdflow.config.option import option
from kdflow.training.identity import joint_signature, params, signature, version_tags


def student(**options: object) -> StudentConfig:
    return configure(StudentConfig(), **options)


def missing(config: TeacherConfig | StudentConfig | StudyConfig) -> set[str]:
    """What a run does not log of its options, though it was given."""
    return {name for name, value in logged(config).items() if value != ""} - set(params(config))


def tags_of(config: TeacherConfig | StudentConfig, val: float = 0.5, *, validated: int = 100) -> dict[str, Any]:
    return version_tags(config, {"final/val_accuracy": val, "final/test_accuracy": 2 / 3}, validated=validated)


def test_at_alpha_1_there_is_no_distiller_and_no_teacher() -> None:
    told = student(alpha=1, distiller="rkd", knobs="angle=1", teacher="t", temperature=4)
    assert missing(told) == {"distiller", "temperature", "knobs", "teacher"}
    assert "teacher_run_id" not in params(student(alpha=1), teacher="t")
    assert tags_of(student(alpha=1)).keys() == {"val_accuracy", "test_accuracy", "alpha", "seed"}


def test_only_a_distiller_that_softens_has_a_temperature() -> None:
    assert missing(student()) == set()
    assert missing(student(distiller="hard-targets")) == missing(student(distiller="rkd")) == {"temperature"}
    rkd = tags_of(student(distiller="rkd", knobs="angle=1"))
    assert {name: rkd[name] for name in ("distiller", "knobs", "val_accuracy")} == {
        "distiller": "rkd",
        "knobs": "angle=1",
        "val_accuracy": 0.5,
    }
    assert "temperature" not in rkd


def test_a_study_logs_what_any_of_its_students_has() -> None:
    assert missing(StudyConfig()) == {"seeds"}
    assert missing(configure(StudyConfig(), alphas="1")) == {"distillers", "temperatures", "seeds"}
    assert missing(configure(StudyConfig(), distillers="rkd")) == {"temperatures", "seeds"}
    assert missing(configure(StudyConfig(), distillers="rkd,soft-targets", seeds="0-2")) == {"seed"}


def test_the_teacher_is_logged_as_it_was_asked_for_and_as_what_it_is() -> None:
    found = params(student(alpha=0, teacher="models:/x@champion"), teacher="abc")
    assert (found["teacher"], found["teacher_run_id"]) == ("models:/x@champion", "abc")
    assert missing(TeacherConfig()) == set()


def test_params_do_not_say_where_things_lie(tmp_path: Path) -> None:
    (folder := tmp_path / "pets").mkdir()
    found = params(student(dataset=str(folder), data_dir=str(tmp_path), runs_dir=str(tmp_path)))
    assert found["dataset"] == "pets"
    assert not [name for name, value in found.items() if str(tmp_path) in str(value)]
    assert "" not in found.values(), "what was not given is no row of its own"


@pytest.mark.parametrize("validated", [100, 4_999, 9_999, 10_000, 123_456])
def test_rounded_accuracies_of_versions_are_apart_where_one_image_differs(validated: int) -> None:
    right = [validated // 3 + n for n in range(4)]
    rounded = [tags_of(student(), count / validated, validated=validated)["val_accuracy"] for count in right]
    assert rounded == sorted(set(rounded))
    assert tags_of(student())["test_accuracy"] == 0.6667


DATA = {"kdflow.data": "digits", "kdflow.data_digest": "d" * 32, "kdflow.split_digest": "s" * 32}


def signed(config: TeacherConfig | StudentConfig, *, precision: str = "fp32", teacher: str = "t", **data: str) -> str:
    seen = DATA | {f"kdflow.{name}": digest for name, digest in data.items()}
    return signature(config, data=seen, precision=precision, teacher=teacher)


ANOTHER = {
    "seed": student(seed=1),
    "distiller": student(distiller="hard-targets"),
    "knobs": student(distiller="rkd", knobs="angle=1"),
    "other knobs": student(distiller="rkd", knobs="angle=2"),
    "temperature": student(temperature=2),
    "alpha": student(alpha=0),
    "recipe": student(lr=0.1),
    "epochs": student(epochs=11),
    "model": student(model="alexnet"),
    "split": student(split_seed=1),
}


def test_whatever_changes_what_is_computed_changes_the_signature() -> None:
    found = {name: signed(config) for name, config in {"usual": student(), **ANOTHER}.items()}
    found |= {"teacher": signed(student(), teacher="u"), "precision": signed(student(), precision="bf16")}
    found |= {"data": signed(student(), data_digest="e"), "images of the split": signed(student(), split_digest="e")}
    found |= {"role": signed(TeacherConfig())}
    assert len(set(found.values())) == len(found)


@pytest.mark.parametrize(
    "given",
    [
        {"lr": "5e-2"},
        {"alpha": "0.50"},
        {"device": "cpu", "threads": 3, "deterministic": True, "cuda_graphs": True},
        {"runs_dir": "elsewhere", "offline": True, "data_dir": "x", "dataset": "digits"},
        {"teacher": "models:/x@champion"},
        {"precision": "fp32"},
    ],
)
def test_spelling_place_and_machine_do_not(given: dict[str, object]) -> None:
    assert signed(student(**given)) == signed(student())
    assert signed(student(**given), data="another name") == signed(student())


def test_what_has_no_effect_does_not() -> None:
    alone = student(alpha=1)
    assert signed(alone, teacher="") == signed(
        student(alpha=1, distiller="rkd", temperature=3, knobs="a=1"), teacher=""
    )
    usual = signed(student(distiller="rkd", knobs="angle=1,distance=2"))
    assert signed(student(distiller="rkd", knobs=" distance=2.0, angle=1")) == usual
    assert signed(student(distiller="rkd", knobs="angle=50")) == signed(student(distiller="rkd")) != usual


def test_a_new_option_at_its_default_orphans_nothing() -> None:
    @dataclass(frozen=True)
    class Later(StudentConfig):
        warmth: float = option(0.5, "How warm it is.")

    assert signed(Later()) == signed(StudentConfig())
    assert signed(Later(warmth=1.0)) != signed(StudentConfig())


def test_what_several_are_known_by_follows_from_each_and_from_their_order() -> None:
    found = [joint_signature("cohort", runs) for runs in (["a", "b"], ["b", "a"], ["a"], ["ab"])]
    assert len({*found, joint_signature("study", ["a", "b"])}) == 5


def test_a_signature_is_the_same_as_ever() -> None:
    known = "e3d71525833d4ec88a43b264cf15cedc19973b42aa9ae16f3a5981d0827e3bbf"
    assert signed(student()) == known, "raise SCHEMA if what is computed has changed, and only then"
