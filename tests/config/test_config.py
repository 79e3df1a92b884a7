"""Every option of every config has a sound default, refuses nonsense in one line, and keeps its name everywhere.

Whether a name stands for a data set, model or distiller is settled by their registries, not here.
"""

from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from typing import Any

import pytest

from kdflow.common.errors import Problems, UsageError
from kdflow.config import (
    STUDENT_RECIPE,
    TEACHER_RECIPE,
    CohortConfig,
    CompareConfig,
    DataConfig,
    Recipe,
    RuntimeConfig,
    StudentConfig,
    StudyConfig,
    TeacherConfig,
    configure,
    flat,
    options,
)
from kdflow.config.commands import knobs_of
from kdflow.config.option import flag, show

CONFIGS = [TeacherConfig(), StudentConfig(), CohortConfig(), StudyConfig(), CompareConfig()]
EVERY_OPTION = [
    pytest.param(config, name, id=f"{type(config).__name__}-{name}") for config in CONFIGS for name in options(config)
]
TEXTS = ("a text", "names separated by commas")
CHECKED_OPTIONS = [param for param in EVERY_OPTION if options(param.values[0])[param.values[1]].allowed not in TEXTS]


@pytest.mark.parametrize(("config", "name"), EVERY_OPTION)
def test_a_default_passes_its_own_checks(config: Any, name: str) -> None:
    spec = options(config)[name]
    assert spec.read(flag(name), spec.default) == spec.default
    assert spec.help.endswith((".", ")."))


@pytest.mark.parametrize(("config", "name"), EVERY_OPTION)
def test_a_shown_default_gives_the_same_config(config: Any, name: str) -> None:
    assert configure(config, **{name: show(flat(config)[name])}) == config


@pytest.mark.parametrize(("config", "name"), CHECKED_OPTIONS)
def test_nonsense_is_refused_in_one_line(config: Any, name: str) -> None:
    spec = options(config)[name]
    for raw in ("nan", "inf", "-inf", "-1", *[""] * (spec.default != ()), "nonsense", "1e400"):
        with pytest.raises(UsageError) as caught:
            configure(config, **{name: raw})
        assert str(caught.value) == f"{flag(name)} is {raw!r}: give {spec.allowed} (default {show(spec.default)})"


@pytest.mark.parametrize(("config", "name"), CHECKED_OPTIONS)
def test_numbers_just_inside_the_range_are_taken_and_just_outside_refused(config: Any, name: str) -> None:
    spec = options(config)[name]
    for inside in (spec.low, spec.high):
        if inside is not None:
            configure(config, **{name: str(inside)})
    for outside in (spec.low is not None and spec.low - 1, spec.high is not None and spec.high + 1, spec.above):
        if outside is not None and outside is not False:
            with pytest.raises(UsageError):
                configure(config, **{name: str(outside)})


@pytest.mark.parametrize("kind", [DataConfig, RuntimeConfig, Recipe, StudentConfig])
def test_the_constructor_checks_as_the_command_line_does(kind: type) -> None:
    wrong: dict[type, dict[str, Any]] = {
        DataConfig: {"val_fraction": 0.9},
        RuntimeConfig: {"device": "tpu"},
        Recipe: {"batch_size": 1},
        StudentConfig: {"alpha": 1.01},
    }
    with pytest.raises(UsageError):
        kind(**wrong[kind])


def test_the_ends_of_alpha_are_allowed_and_nothing_beyond() -> None:
    assert [configure(StudentConfig(), alpha=alpha).alpha for alpha in ("0", "1")] == [0.0, 1.0]
    for alpha in ("-0.001", "1.001"):
        with pytest.raises(UsageError):
            configure(StudentConfig(), alpha=alpha)


@pytest.mark.parametrize("config", CONFIGS)
def test_flat_values_give_the_config_back(config: Any) -> None:
    assert configure(config, **flat(config)) == config
    assert list(flat(config)) == list(options(config))


def test_configure_sets_what_is_named_and_nothing_else() -> None:
    before = StudyConfig()
    after = configure(before, teacher_epochs="3", student_lr="0.2", dataset="digits", alphas="0.3", seed=7)
    changed = {name for name, value in flat(after).items() if value != flat(before)[name]}
    assert changed == {"teacher_epochs", "student_lr", "dataset", "alphas", "seed"}
    assert (after.teacher_recipe.epochs, after.student_recipe.lr, after.data.dataset) == (3, 0.2, "digits")
    assert (after.alphas, after.runtime.seed) == ((0.3,), 7)
    assert before == StudyConfig()


def test_an_unknown_option_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"no option 'alhpa': choose from alpha, distiller"):
        configure(StudentConfig(), alhpa=1)


def test_no_option_hides_another_of_the_same_flat_name() -> None:
    for config in CONFIGS:
        assert len(options(config)) == _count(config)


def test_configs_cannot_be_changed() -> None:
    for config in (*CONFIGS, Recipe(), DataConfig(), RuntimeConfig()):
        with pytest.raises(FrozenInstanceError):
            setattr(config, fields(config)[0].name, None)


def test_the_default_study_is_the_mission() -> None:
    study = StudyConfig()
    assert sorted(study.alphas) == [0.0, 0.5, 1.0]
    assert (study.teacher_recipe.epochs, study.student_recipe.epochs) == (20, 10)
    assert (study.teacher_model, study.student_model, study.data.dataset) == ("alexnet", "small-cnn", "cifar10")


def test_students_and_teacher_of_a_study_are_configured_as_if_alone() -> None:
    study = configure(StudyConfig(), dataset="digits", seed=3, student_epochs=2, teacher_epochs=4, knobs="distance=1")
    alone = configure(StudentConfig(), dataset="digits", seed=3, epochs=2, knobs="distance=1")
    assert study.cohort_config().student_configs() == [replace(alone, alpha=alpha) for alpha in (1.0, 0.0, 0.5)]
    assert study.teacher_config() == configure(TeacherConfig(), dataset="digits", seed=3, epochs=4)
    assert (study.student_recipe.lr, study.teacher_recipe.lr) == (STUDENT_RECIPE.lr, TEACHER_RECIPE.lr)


def test_settings_of_several_distillers_are_told_apart_by_their_names() -> None:
    knobs = "rkd.angle=50, soft-targets.temperature=2"
    cohort = configure(CohortConfig(), distillers="soft-targets,rkd", knobs=knobs, alphas="0", temperatures="1,4")
    seen = [(one.distiller, one.temperature, one.knobs) for one in cohort.student_configs()]
    assert seen == [("soft-targets", 2.0, ""), ("rkd", 1.0, "angle=50"), ("rkd", 4.0, "angle=50")]


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ("angle=50", "say of which distiller, as soft-targets.angle=50"),
        ("dkd.beta=1", "dkd is none of the distillers (soft-targets, rkd)"),
        ("rkd.angle", "give name=value,name=value"),
    ],
)
def test_settings_of_which_it_is_not_clear_whose_they_are_are_refused(knobs: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        knobs_of("rkd", knobs, ("soft-targets", "rkd"))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "seeds"), [("0-4", range(5)), ("3", [3]), ("0-1,7", [0, 1, 7]), ("5-5", [5]), ("", [])]
)
def test_seeds_are_numbers_and_ranges_and_shown_as_they_are_read(text: str, seeds: Any) -> None:
    config = configure(StudyConfig(), seeds=text)
    assert config.seeds == tuple(seeds)
    assert configure(StudyConfig(), seeds=show(config.seeds)) == config


@pytest.mark.parametrize("text", ["4-0", "0-", "-3", "0-1-2", "1.5", "a", "0-99999999"])
def test_a_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--seeds is '.*': give whole numbers"):
        configure(StudyConfig(), seeds=text)


def _count(config: Any) -> int:
    values = [getattr(config, spec.name) for spec in fields(config)]
    return sum(_count(value) if is_dataclass(value) else 1 for value in values)


def test_all_options_that_are_wrong_are_named_at_once():
    with pytest.raises(Problems) as error:
        configure(StudentConfig(), alpha=2, lr=-1, epochs="x", alhpa=1)
    assert error.value.exit_code == UsageError.exit_code
    said = str(error.value)
    assert all(words in said for words in ("--alpha is '2'", "--lr is '-1'", "--epochs is 'x'", "no option 'alhpa'"))
