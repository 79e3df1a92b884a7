"""What is wrong is found before the images are read, all of it at once. What a store refuses is in `faults`."""

import pytest

from kdflow.common.errors import DataError, KdflowError, Problems, UsageError
from kdflow.config import StudentConfig, StudyConfig, TeacherConfig, configure
from kdflow.experiments import preflight

WITHOUT_LINEAR_LAYER = "torchvision:squeezenet1_1"


def refuse(kind, message):
    def check():
        raise kind(message)

    return check


def test_everything_that_is_wrong_is_named_at_once_and_the_first_decides_on_the_exit_code():
    with pytest.raises(Problems) as error:
        preflight.require(refuse(DataError, "no images"), lambda: None, refuse(UsageError, "no such model"))
    assert [str(problem) for problem in error.value.errors] == ["no images", "no such model"]
    assert error.value.exit_code == DataError.exit_code


def test_one_thing_that_is_wrong_is_told_as_it_is():
    with pytest.raises(UsageError, match=r"^no such model$"):
        preflight.require(lambda: None, refuse(UsageError, "no such model"))


@pytest.mark.parametrize(
    ("config", "options", "named"),
    [
        (StudyConfig(), {"teacher_model": WITHOUT_LINEAR_LAYER, "distillers": "rkd"}, [WITHOUT_LINEAR_LAYER, "rkd"]),
        (StudyConfig(), {"student_model": WITHOUT_LINEAR_LAYER, "distillers": "rkd"}, [WITHOUT_LINEAR_LAYER, "rkd"]),
        (StudentConfig(), {"model": WITHOUT_LINEAR_LAYER, "distiller": "rkd"}, [WITHOUT_LINEAR_LAYER, "rkd"]),
        (StudentConfig(), {"distiller": "rdk"}, ["'rdk'", "'rkd'"]),
        (StudentConfig(), {"distiller": "rkd", "knobs": "angel=1"}, ["'angel'", "angle"]),
        (StudentConfig(), {"distiller": "hard-targets", "temperature": 2}, ["--temperature is 2", "hard-targets"]),
        (StudentConfig(), {"model": "small-cnm"}, ["'small-cnm'", "'small-cnn'"]),
        (TeacherConfig(), {"model": "alexnett"}, ["'alexnett'", "'alexnet'"]),
        (StudyConfig(), {"student_model": "nope", "teacher_model": "none"}, ["'nope'", "'none'"]),
    ],
)
def test_networks_and_methods_that_do_not_fit_are_refused(config, options, named):
    with pytest.raises(KdflowError) as error:
        preflight.require_networks(configure(config, **options))
    assert all(word in str(error.value) for word in named)
    assert error.value.exit_code == UsageError.exit_code


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (StudyConfig(), {}),
        (StudyConfig(), {"distillers": "rkd"}),
        (StudyConfig(), {"alphas": "1", "distillers": "rkd", "teacher_model": WITHOUT_LINEAR_LAYER}),
        (StudentConfig(), {"alpha": 1, "distiller": "rkd", "model": WITHOUT_LINEAR_LAYER}),
        (StudentConfig(), {"model": WITHOUT_LINEAR_LAYER}),
        (TeacherConfig(), {"model": WITHOUT_LINEAR_LAYER}),
    ],
)
def test_what_is_not_looked_at_need_not_be_there(config, options):
    preflight.require_networks(configure(config, **options))


@pytest.mark.parametrize(
    "options",
    [
        {"teacher_model": WITHOUT_LINEAR_LAYER, "distillers": "rkd"},
        {"student_model": "nope"},
        {"device": "cuda"},
        {"runs_dir": "/proc/nowhere"},
    ],
)
def test_a_command_asks_before_it_reads_an_image(tmp_path, monkeypatch, options):
    import torch

    from kdflow.experiments import session
    from kdflow.experiments.session import prepare

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(session, "load", lambda config: pytest.fail("images were read"))
    with pytest.raises(KdflowError):
        prepare("study", configure(StudyConfig(), dataset="digits", **options))
    assert list(tmp_path.iterdir()) == []
