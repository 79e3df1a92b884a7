"""A command that was killed, stopped or failed anywhere goes on in the same runs, and ends as if nothing had been.

The process that dies here is imagined: from a chosen moment on nothing more is written or told. Real processes, real
signals from outside and full disks are `tests/faults`'; damaged checkpoints are `test_checkpoint`'s.
"""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from kdflow.common.errors import KdflowError
from tests.experiments.conftest import student_config, study_config
from tests.interruptions import SMALL, Fault, after_epoch, at_moment, interrupted, kept_run, kept_run_key, telling
from tests.small_disks import small_disk
from tests.stories import require_equal, story, table

pytestmark = [pytest.mark.fault, pytest.mark.usefixtures("small_data")]

STUDY = {"alphas": "1,0", "teacher_batch_size": 16, "student_batch_size": 16, "student_lr": 0.02}


@pytest.fixture(scope="module")
def client(store):
    from mlflow import MlflowClient

    return MlflowClient()


@pytest.fixture(scope="module")
def whole(client, data, tmp_path_factory):
    """A student that was never interrupted, and how many moments it has."""
    from kdflow.experiments import session
    from kdflow.experiments.commands import run_student

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "load", lambda config: data)
        fault = Fault(patch, lambda *_: False)
        trained = run_student(student_config(**SMALL, runs_dir=str(tmp_path_factory.mktemp("whole"))))
    assert story(client, trained.run_id)["versions"] == 1
    return trained.run_id, fault.moments


BEFORE_ANYTHING = 1
"""The moment at which the folder of a command gets its first file: without it there is nothing to go on with."""


def sweep(client, whole, folder: Path, moments: range, strike: Callable | None) -> int:
    """Interrupts a student at each of these moments and goes on; gives how often."""
    from kdflow.experiments.commands import run_student

    for moment in moments:
        config = {**SMALL, "runs_dir": str(folder / str(moment))}
        interrupted(lambda config=config: run_student(student_config(**config)), at_moment(moment), strike)
        if moment == BEFORE_ANYTHING:
            resumed = run_student(student_config(**config))
        else:
            run_id = kept_run(folder / str(moment))
            resumed = run_student(student_config(**config, resume=run_id))
            assert run_id in (resumed.run_id, kept_run_key(folder / str(moment))), f"another run, after moment {moment}"
        require_equal(client, resumed.run_id, whole[0])
    return len(moments)


def test_a_student_that_was_killed_goes_on_as_if_it_had_not_been(client, whole, tmp_path, record_property):
    record_property("faults", sweep(client, whole, tmp_path, range(11, whole[1], 24), None))


@pytest.mark.slow
def test_a_student_can_be_killed_before_each_thing_that_it_writes_or_tells(client, whole, tmp_path, record_property):
    record_property("faults", sweep(client, whole, tmp_path, range(1, whole[1] + 1), None))


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_any_moment_ends_the_run_killed_and_it_goes_on(
    whole, tmp_path, signals, client, signum, record_property
):
    moments = range(3 + (signum == signal.SIGINT), whole[1], 4)
    record_property("faults", sweep(client, whole, tmp_path, moments, lambda: signal.raise_signal(signum)))


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_waits_for_the_batch_then_the_run_is_killed_and_says_how_to_go_on(
    client, tmp_path, signals, monkeypatch, signum, code
):
    from kdflow.common.signals import Stopped
    from kdflow.experiments import progress
    from kdflow.experiments.commands import run_student

    steps = []

    def step(self, step):
        steps.append(step.number)
        if len(steps) == 2:
            signal.raise_signal(signum)

    monkeypatch.setattr(progress.TrainingProgress, "step", step)
    with pytest.raises(Stopped) as stopped:
        run_student(student_config(**SMALL, runs_dir=str(tmp_path)))
    assert steps == [1, 2]
    assert stopped.value.exit_code == code
    run_id = kept_run(tmp_path)
    assert stopped.value.__notes__ == [f"go on with: kdflow student --resume {run_id} --runs-dir {tmp_path}"]
    assert client.get_run(run_id).info.status == "KILLED"


@pytest.mark.parametrize("failing", [pytest.param("create_run", marks=pytest.mark.slow), "create_logged_model"])
def test_whatever_goes_wrong_while_the_store_is_told_training_goes_on_and_it_is_told_again(
    client, tmp_path, whole, failing
):
    from kdflow.experiments.commands import run_student

    def fail():
        raise RuntimeError("something else")

    config = {**SMALL, "runs_dir": str(tmp_path)}
    interrupted(lambda: run_student(student_config(**config)), lambda _, name, __: name == failing, fail)
    run_id = kept_run(tmp_path)
    require_equal(client, run_id, whole[0])


def test_a_signal_while_a_run_is_being_made_leaves_it_killed_and_not_running(client, tmp_path, signals):
    from kdflow.experiments.commands import run_student

    config = {**SMALL, "runs_dir": str(tmp_path)}
    when, strike = lambda _, name, __: name == "mark_delivered", lambda: signal.raise_signal(signal.SIGTERM)
    interrupted(lambda: run_student(student_config(**config)), when, strike)
    assert client.get_run(kept_run(tmp_path)).info.status == "KILLED"


@pytest.mark.slow
def test_wherever_the_disk_gets_full_it_is_said_in_one_line_and_the_run_goes_on_once_there_is_room(
    client, whole, tmp_path, record_property
):
    from kdflow.experiments.commands import run_student

    rooms = [*range(4, 60, 8), 600, 900, 1300, *range(1660, 2120, 65)]
    for room in rooms:
        with small_disk(tmp_path / str(room), "size=8m") as disk:
            (disk / "filling").write_bytes(b"x" * ((8192 - room) * 1024))
            config = {**SMALL, "runs_dir": str(disk)}
            with pytest.raises(KdflowError, match=r"^no space left on .*; make room($|\ngo on with: kdflow )") as full:
                run_student(student_config(**config))
            (disk / "filling").unlink()
            if not list(disk.iterdir()):
                continue  # it was full before anything could begin
            run_id = kept_run(disk)
            assert full.value.__notes__ == [f"go on with: kdflow student --resume {run_id} --runs-dir {disk}"]
            assert run_id == kept_run_key(disk) or client.get_run(run_id).info.status == "FAILED"
            require_equal(client, run_student(student_config(**config, resume=run_id)).run_id, whole[0])
    record_property("faults", len(rooms))


# Of a study.


@pytest.fixture(scope="module")
def whole_study(client, data, tmp_path_factory):
    """A study that was never interrupted: its table, and what its runs tell."""
    from kdflow.experiments import session
    from kdflow.experiments.study import run_study

    folder = tmp_path_factory.mktemp("whole-study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "load", lambda config: data)
        run_study(study_config(**STUDY, runs_dir=str(folder)))
    return table(folder), stories(client, folder)


def stories(client, runs_dir: Path) -> dict[str, dict]:
    """What each run of a study tells, by the end of its key."""
    from kdflow.journal.journal import Journal

    (journal,) = Journal.every(runs_dir)
    return {key.removeprefix(journal.key): story(client, run_id) for key, run_id in journal.ids.items()}


@pytest.fixture
def epochs(monkeypatch):
    """Which epochs are trained from now on, as (models, epoch)."""
    from kdflow.experiments import training_runs

    trained = []

    def fit(cohort, *arguments, _fit=training_runs.fit, **options):
        for epoch in _fit(cohort, *arguments, **options):
            trained.append(("teacher" if len(cohort) == 1 else "students", epoch.number))
            yield epoch

    monkeypatch.setattr(training_runs, "fit", fit)
    return trained


STUDENTS = [("students", 1), ("students", 2)]
slowly = {"marks": pytest.mark.slow}


@pytest.mark.parametrize(
    ("when", "still"),
    [
        pytest.param(lambda: after_epoch(2, "teacher"), [("teacher", 3), *STUDENTS], id="in the teacher", **slowly),
        pytest.param(lambda: telling("register", "teacher"), STUDENTS, id="at the end of the teacher", **slowly),
        pytest.param(
            lambda: telling("create", "student alpha=1"), STUDENTS, id="between teacher and students", **slowly
        ),
        pytest.param(lambda: after_epoch(1, "student"), STUDENTS[1:], id="among the students"),
        pytest.param(
            lambda: telling("register", "student alpha=0 T=4"), [], id="at the end of the second student", **slowly
        ),
        pytest.param(lambda: telling("status", "student alpha=0 T=4"), [], id="after the second student", **slowly),
        pytest.param(lambda: telling("metrics", "study colours"), [], id="in the comparison", **slowly),
        pytest.param(lambda: telling("status", "study colours"), [], id="after the comparison", **slowly),
    ],
)
@pytest.mark.parametrize(
    "strike", [None, pytest.param(lambda: signal.raise_signal(signal.SIGINT), marks=pytest.mark.slow)]
)
def test_a_study_goes_on_as_a_whole_and_trains_nothing_twice(
    whole_study, tmp_path, epochs, signals, client, when, still, strike
):
    from kdflow.experiments.study import run_study

    config = {**STUDY, "runs_dir": str(tmp_path)}
    assert interrupted(lambda: run_study(study_config(**config)), when(), strike).struck
    run_id = kept_run(tmp_path)
    if strike:
        assert client.get_run(run_id).info.status == "KILLED"
    epochs.clear()
    run_study(study_config(**config, resume=run_id))
    assert epochs == still or (strike and epochs == still[1:])  # a signal waits for the end of the batch
    assert kept_run(tmp_path) == run_id
    assert (table(tmp_path), stories(client, tmp_path)) == whole_study


def test_a_finished_run_says_so_and_neither_trains_nor_logs(client, whole, tmp_path, capsys, epochs):
    from kdflow.experiments.commands import run_student

    config = {**SMALL, "runs_dir": str(tmp_path)}
    trained = run_student(student_config(**config))
    (journal,) = tmp_path.glob("*/journal.jsonl")
    before = journal.read_bytes()
    epochs.clear()
    capsys.readouterr()
    again = run_student(student_config(**config, resume=trained.run_id))
    assert (again.run_id, again.address, again.scores) == (trained.run_id, trained.address, trained.scores)
    assert "student alpha=1 seed=0: finished before (test accuracy" in capsys.readouterr().out
    assert (epochs, journal.read_bytes()) == ([], before)
    require_equal(client, trained.run_id, whole[0])


@pytest.mark.slow
def test_a_finished_study_says_so_and_neither_trains_nor_logs(client, whole_study, tmp_path, epochs):
    from kdflow.experiments.commands import run_student
    from kdflow.experiments.study import run_study

    config = {**STUDY, "runs_dir": str(tmp_path)}
    study = run_study(study_config(**config))
    (folder,) = tmp_path.iterdir()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}
    run_student(student_config(**SMALL | {"alpha": 0.3}, teacher=study.rows[0].run_id))  # which it knew nothing of
    epochs.clear()
    run_study(study_config(**config, resume=kept_run(tmp_path)))
    assert epochs == []
    assert {path: path.read_bytes() for path in before} == before
    assert (table(tmp_path), stories(client, tmp_path)) == whole_study


def test_what_was_stopped_offline_is_told_to_go_on_offline(tmp_path, signals, monkeypatch):
    from kdflow.common.signals import Stopped
    from kdflow.experiments.commands import run_student

    config = {**SMALL, "runs_dir": str(tmp_path / "my runs"), "offline": True}
    Fault(monkeypatch, at_moment(6), lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Stopped) as stopped:
        run_student(student_config(**config))
    (advice,) = stopped.value.__notes__
    folder = tmp_path / "my runs"
    where = f"--resume {kept_run_key(folder)} --runs-dir '{folder}' --offline true"
    assert advice == f"go on with: kdflow student {where}"
