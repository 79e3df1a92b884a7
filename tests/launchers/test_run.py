"""Jobs run each after those that they need; what fails is tried again, and fails alone."""

import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from kdflow.common.errors import DataError, KdflowError, UsageError
from kdflow.config import PlacingConfig
from kdflow.launchers import Ended, Job, Place, base, launchers, run
from kdflow.launchers import local as processes

FAILED, WELL, KILLED = Ended(1, "no more"), Ended(0), Ended(-9)


class Stub:
    """Ends jobs at once, each as its list says."""

    def __init__(self, outcomes: dict[str, list[Ended]], room: int = 2) -> None:
        self.outcomes, self.most = outcomes, room
        self.running: list[Job] = []
        self.told: list[tuple[str, str]] = []

    @property
    def room(self) -> int:
        return self.most - len(self.running)

    def start(self, job: Job) -> None:
        self.running.append(job)

    def ended(self) -> Iterable[tuple[Job, Ended]]:
        over, self.running = self.running, []
        return [(job, self.outcomes.get(job.name, [WELL]).pop(0)) for job in over]

    def stop(self) -> None:
        self.told.append(("stop", ""))

    def close(self) -> None:
        self.told.append(("close", ""))


class Heard:
    def __init__(self, action: Callable[[], None] = lambda: None) -> None:
        self.told: list[tuple[str, str]] = []
        self.passed = action

    def began(self, job: Job, attempt: int) -> None:
        self.told.append((f"began {attempt}", job.name))

    def failed(self, job: Job, ended: Ended, attempt: int) -> None:
        self.told.append((f"failed {attempt}", job.name))

    def ended(self, job: Job, ended: Ended) -> None:
        self.told.append(("ended well" if ended.well else "ended", job.name))


def job(name: str, *after: str) -> Job:
    return Job(name, name, ("list",), after)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "PAUSE", 0.0)


def test_a_job_begins_once_those_that_it_needs_have_ended_well() -> None:
    heard = Heard()
    assert run([job("b", "a"), job("a")], Stub({}), heard) == {"a": WELL, "b": WELL}
    assert heard.told == [("began 1", "a"), ("ended well", "a"), ("began 1", "b"), ("ended well", "b")]


@pytest.mark.parametrize("ended", [FAILED, KILLED])
def test_a_job_is_tried_three_times_and_then_fails_alone(ended: Ended) -> None:
    heard = Heard()
    over = run([job("a"), job("b", "a"), job("c")], Stub({"a": [ended] * 3}), heard)
    assert over == {"a": ended, "b": Ended(None, "it needs a"), "c": WELL}
    assert [one for one in heard.told if one[1] == "a"] == [
        ("began 1", "a"),
        ("failed 1", "a"),
        ("began 2", "a"),
        ("failed 2", "a"),
        ("began 3", "a"),
        ("ended", "a"),
    ]


def test_a_job_that_fails_once_ends_well_at_the_second_try() -> None:
    assert run([job("a"), job("b", "a")], Stub({"a": [KILLED, WELL]}), Heard()) == {"a": WELL, "b": WELL}


@pytest.mark.parametrize("code", [UsageError.exit_code, DataError.exit_code])
def test_what_would_fail_again_is_not_tried_again(code: int) -> None:
    assert run([job("a")], Stub({"a": [Ended(code)]}), Heard()) == {"a": Ended(code)}


def test_no_more_jobs_run_at_a_time_than_there_is_room_for() -> None:
    stub, most = Stub({}, room=2), []
    started = stub.start
    stub.start = lambda one: (started(one), most.append(len(stub.running)))  # type: ignore[method-assign]
    run([job(str(number)) for number in range(5)], stub, Heard())
    assert max(most) == 2


def test_whatever_asks_for_the_end_stops_all_jobs() -> None:
    def end() -> None:
        raise KdflowError("enough")

    stub = Stub({})
    with pytest.raises(KdflowError, match="enough"):
        run([job("a")], stub, Heard(end))
    assert stub.told == [("stop", ""), ("close", "")]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, {"KDFLOW_STUDY": "s"}, PlacingConfig(workers=2), 1)


def test_a_process_says_into_its_log_and_why_it_failed(place: Place) -> None:
    jobs = [Job("good", "good", ("--version",)), Job("bad", "bad", ("student", "--alpha", "7"))]
    over = run(jobs, launchers["local"](place), Heard())
    assert over["good"].well
    assert over["bad"].code == UsageError.exit_code
    assert over["bad"].reason.startswith("--alpha is '7': give a number from 0 to 1")
    assert "version" in place.log(jobs[0]).read_text()


def test_jobs_have_the_studys_variables_and_not_its_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "r")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "e")
    assert place.environment["KDFLOW_STUDY"] == "s"
    assert not {"MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME"} & place.environment.keys()


def test_a_job_that_does_not_end_when_it_is_asked_to_is_killed(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0.2)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec {sys.executable} -c "{deaf}"\n')
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    started = launchers["local"](place)
    started.start(job("deaf"))
    while "up" not in place.log(job("deaf")).read_text():
        pass
    started.stop()
    ((_, ended),) = started.ended()
    assert ended.code == -signal.SIGKILL


def test_a_place_whose_library_is_missing_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    from kdflow.config import StudyConfig, configure
    from kdflow.experiments.study_plan import job_config
    from kdflow.launchers import ray

    monkeypatch.setattr(ray, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"^--on is 'ray': Ray is not installed; pip install 'kdflow\[ray\]'$"):
        job_config(configure(StudyConfig(), on="ray"))
