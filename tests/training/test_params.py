"""Runs log what has an effect on them, and nothing that they do not have."""

from kdflow.config import StudentConfig, StudyConfig, TeacherConfig, configure, logged
from kdflow.training.params import params, version_tags


def student(**options: object) -> StudentConfig:
    return configure(StudentConfig(), **options)


def missing(config: TeacherConfig | StudentConfig | StudyConfig) -> set[str]:
    return set(logged(config)) - set(params(config))


def test_at_alpha_1_there_is_no_distiller_and_no_teacher() -> None:
    assert missing(student(alpha=1)) == {"distiller", "temperature", "knobs", "teacher"}
    assert "teacher_run_id" not in params(student(alpha=1), teacher="t")
    assert version_tags(student(alpha=1), {}).keys() == {"alpha", "seed", "model"}


def test_only_a_distiller_that_softens_has_a_temperature() -> None:
    assert missing(student()) == set()
    assert missing(student(distiller="hard-targets")) == missing(student(distiller="rkd")) == {"temperature"}
    rkd = version_tags(student(distiller="rkd", knobs="angle=1"), {"final/val_accuracy": 0.5})
    assert {name: rkd[name] for name in ("distiller", "knobs", "val_accuracy")} == {
        "distiller": "rkd",
        "knobs": "angle=1",
        "val_accuracy": 0.5,
    }
    assert "temperature" not in rkd


def test_a_study_logs_what_any_of_its_students_has() -> None:
    assert missing(StudyConfig()) == set()
    assert missing(configure(StudyConfig(), alphas="1")) == {"distiller", "temperatures", "knobs"}
    assert missing(configure(StudyConfig(), distiller="rkd")) == {"temperatures"}


def test_the_teacher_is_logged_as_it_was_asked_for_and_as_what_it_is() -> None:
    found = params(student(alpha=0, teacher="models:/x@champion"), teacher="abc")
    assert (found["teacher"], found["teacher_run_id"]) == ("models:/x@champion", "abc")
    assert missing(TeacherConfig()) == set()
