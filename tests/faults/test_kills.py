"""Real processes that are killed, stopped, or run out of disk go on where they were and end as if nothing had been.

On real images (digits), with the command that the message names. Every single moment is swept in one process by
`tests/experiments/test_resume.py`. Not covered: power failures, which may take what was written in the last seconds.
"""

import random
import re
import signal
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.small_disks import small_disk
from tests.stories import require_equal, story, table

pytestmark = [pytest.mark.slow, pytest.mark.fault]

DIGITS = ("--dataset", "digits", "--threads", "1", "--precision", "fp32", "--device", "cpu")
STUDENT = ("student", "--alpha", "1", "--epochs", "4", *DIGITS)
STUDY = ("study", "--teacher-model", "small-cnn", "--teacher-epochs", "6", "--student-epochs", "5", *DIGITS)
KILLS = 12
LONGEST = 2.0
"""Seconds from the moment that the data are read to a kill, at most."""


def client(workplace) -> MlflowClient:
    return MlflowClient(workplace.store, workplace.store)


def the_run(workplace) -> str:
    """The id of the only run in a store."""
    (experiment,) = client(workplace).search_experiments(filter_string="name = 'kdflow'")
    (run,) = client(workplace).search_runs([experiment.experiment_id])
    return run.info.run_id


def read_until(stream, words: str) -> str:
    return next(line for line in stream if words in line)


def advice(error: str) -> str:
    """The command that the one line of an error ends with."""
    (line,) = [line for line in error.splitlines() if line.startswith("kdflow: error: ")]
    assert line == error.splitlines()[-1]
    return line.partition("go on with: ")[2]


@pytest.fixture(scope="module")
def whole_student(another_workplace):
    """A student that was never interrupted: where, and its run."""
    place = another_workplace()
    done = place.run(*STUDENT)
    assert done.returncode == 0, done.stderr
    return place, the_run(place)


@pytest.fixture(scope="module")
def whole_study(another_workplace):
    """Where a study ran that was never interrupted."""
    place = another_workplace()
    done = place.run(*STUDY)
    assert done.returncode == 0, done.stderr
    return place


def require_goes_on(workplace, command: str, whole) -> None:
    run_id = the_run(workplace)
    done = workplace.type(command)
    assert done.returncode == 0, done.stderr
    assert the_run(workplace) == run_id
    require_equal(client(workplace), run_id, whole[1], client(whole[0]))


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_run_killed_and_the_message_is_the_command_that_goes_on(
    workplace, whole_student, signum, code
):
    process = workplace.start(*STUDENT)
    read_until(process.stdout, "epoch 2/4")
    process.send_signal(signum)
    _, error = process.communicate(timeout=60)
    assert process.returncode == code
    assert client(workplace).get_run(the_run(workplace)).info.status == "KILLED"
    command = advice(error)
    assert command == f"kdflow student --resume {the_run(workplace)}"
    require_goes_on(workplace, command, whole_student)


def test_a_second_ctrl_c_ends_the_process_at_once_and_the_run_can_go_on(workplace, whole_student):
    process = workplace.start(*STUDENT)
    read_until(process.stdout, "epoch 2/4")
    process.send_signal(signal.SIGINT)
    read_until(process.stderr, "a second Ctrl-C stops at once")
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert process.wait(timeout=60) == 130
    assert time.monotonic() - began < 1
    require_goes_on(workplace, f"kdflow student --resume {the_run(workplace)}", whole_student)


@pytest.mark.parametrize("seconds", [0.5, 2, 4])
def test_a_signal_before_training_ends_the_command_with_one_line_and_its_code(workplace, seconds):
    process = workplace.start(*STUDENT)
    time.sleep(seconds)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode in (143, -signal.SIGTERM)  # Python itself takes a moment to begin
    assert "Traceback" not in error
    for run in client(workplace).search_runs(["0", "1"]) if (workplace.folder / "mlflow.db").exists() else []:
        assert run.info.status == "KILLED"


def test_two_processes_do_not_go_on_with_one_run(workplace, whole_student):
    process = workplace.start(*STUDENT)
    read_until(process.stdout, "epoch 1/4")
    process.send_signal(signal.SIGSTOP)
    run_id = the_run(workplace)
    second = workplace.run("student", "--resume", run_id)
    process.send_signal(signal.SIGCONT)
    assert second.returncode == 1
    assert re.fullmatch(rf"kdflow: error: run {run_id} is in use by process {process.pid} on \S+: .*\n", second.stderr)
    assert process.wait(timeout=60) == 0
    require_equal(client(workplace), run_id, whole_student[1], client(whole_student[0]))


def go_on(workplace) -> tuple[str, ...]:
    """The command that begins the one study of a folder, or goes on with it."""
    found = [folder.parent.name for folder in (workplace.folder / "runs").glob("study-*/run.json")]
    assert len(found) <= 1
    return ("study", "--resume", *found) if found else STUDY


@pytest.mark.parametrize("seed", [1])
def test_a_study_that_is_killed_at_random_times_ends_in_the_same_table(workplace, whole_study, seed, record_property):
    from kdflow.journal.journal import Journal

    chance = random.Random(seed)
    for _ in range(KILLS):
        process = workplace.start(*go_on(workplace))
        read_until(process.stdout, "digits: ")  # what comes before takes longer than what is worth killing
        time.sleep(chance.uniform(0, LONGEST))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "the study is too short for so many kills"
    done = workplace.run(*go_on(workplace))
    assert done.returncode == 0, done.stderr
    record_property("faults", KILLS)
    whole = whole_study
    ours, theirs = (next(Journal.every(place.folder / "runs")) for place in (workplace, whole))
    assert table(workplace.folder / "runs") == table(whole.folder / "runs")
    for key, run_id in ours.ids.items():
        other = theirs.ids[key.replace(ours.key, theirs.key)]
        assert story(client(workplace), run_id) == story(client(whole), other)
    assert len(ours.ids) == len(client(workplace).search_runs(["1"])), "runs that nobody knows of"
    for key in ours.addresses:
        require_equal(client(workplace), ours.ids[key], theirs.ids[key.replace(ours.key, theirs.key)], client(whole))


@pytest.mark.parametrize("room", [60, 1000, 1800])
def test_on_a_full_disk_the_run_fails_in_one_line_and_goes_on_once_there_is_room(workplace, whole_student, room):
    from kdflow.training import checkpoint

    with small_disk(workplace.folder / "disk", "size=8m") as disk:
        (disk / "filling").write_bytes(b"x" * ((8192 - room) * 1024))
        done = workplace.run(*STUDENT, "--runs-dir", str(disk))
        assert done.returncode == 1, done.stderr
        assert done.stderr.count("kdflow: error: ") == 1
        assert "Traceback" not in done.stderr
        assert re.search(r"no space left on \S+: [\d,]+ KiB needed, [\d,]+ KiB free; make room", done.stderr)
        assert client(workplace).get_run(the_run(workplace)).info.status == "FAILED"
        (checkpoints,) = disk.glob("student-*/checkpoints/student-*")
        kept, notices = checkpoint.load(checkpoints)
        assert (kept is not None) == (room > 900)
        assert notices == []
        (disk / "filling").unlink()
        require_goes_on(workplace, advice(done.stderr), whole_student)


def test_a_learning_rate_that_ruins_the_model_is_one_line_and_a_failed_run(workplace):
    done = workplace.run(*STUDENT, "--lr", "1e6")
    assert done.returncode == 1
    assert re.fullmatch(
        r"kdflow: error: alpha=1: \S+ loss is \S+ at step \d+ of epoch \d+, at learning rate \S+; "
        r"try a lower learning rate\n",
        done.stderr[done.stderr.index("kdflow: error") :],
    )
    assert client(workplace).get_run(the_run(workplace)).info.status == "FAILED"


def test_a_runs_dir_that_takes_no_files_is_found_before_data_are_read(workplace):
    file = Path(workplace.folder / "file")
    file.write_text("")
    (workplace.folder / "mlflow.db").unlink()
    with small_disk(workplace.folder / "disk", "size=1m,ro") as disk:
        for place in (disk, disk / "runs", file, file / "runs"):
            done = workplace.run(*STUDENT, "--runs-dir", str(place))
            assert (done.returncode, done.stdout) == (1, "")
            assert re.fullmatch(
                rf"kdflow: error: --runs-dir {place} cannot be written to: .*; give another folder\n", done.stderr
            )
    assert not (workplace.folder / "mlflow.db").exists()
