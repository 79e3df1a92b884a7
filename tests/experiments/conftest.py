"""One store and one small study on digits, shared by all tests that need finished runs.

What these configs ask for is trained anew each time: reuse has tests of its own.
"""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdflow.config import StudentConfig, StudyConfig, TeacherConfig, configure

# The student's network teaches here: it is quick, and what it is called does not matter to the plumbing.
STUDENT = {"dataset": "digits", "epochs": 2, "threads": 1, "precision": "fp32", "device": "cpu", "reuse": False}
TEACHER = STUDENT | {"model": "small-cnn", "epochs": 3}
STUDY = {
    "dataset": "digits",
    "teacher_model": "small-cnn",
    "teacher_epochs": 3,
    "student_epochs": 2,
    "threads": 1,
    "precision": "fp32",
    "device": "cpu",
    "reuse": False,
}


def teacher_config(**values: object) -> TeacherConfig:
    return configure(TeacherConfig(), **(TEACHER | values))


def student_config(**values: object) -> StudentConfig:
    return configure(StudentConfig(), **(STUDENT | values))


def study_config(**values: object) -> StudyConfig:
    return configure(StudyConfig(), **(STUDY | values))


@pytest.fixture(scope="package")
def fresh_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a sqlite store that is to be; the tests' working directory."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        yield folder


@pytest.fixture(scope="package")
def study(fresh_store: Path):
    """The comparison that a whole study ends with, which finds no other runs in the store."""
    from kdflow.experiments.study import run_study

    return run_study(study_config())


@pytest.fixture(scope="package")
def store(fresh_store: Path, study) -> Path:
    """The folder of a sqlite store in which there is a study, and whatever other tests leave there."""
    return fresh_store


@pytest.fixture
def small_data(store, data, monkeypatch):
    """64 images in place of 1,293: only how they are read differs."""
    from kdflow.common import signals
    from kdflow.experiments import session

    monkeypatch.setattr(session, "load", lambda config: data)
    monkeypatch.setattr(signals, "_noted", None)


@pytest.fixture
def signals():
    """The handlers of the command line, for the time of a test."""
    from kdflow.common import signals

    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    signals.listen()
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)
