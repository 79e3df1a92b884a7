"""A grid gives the same bits however its jobs are cut and placed and whatever is killed; no run is trained twice."""

import hashlib
import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.stories import story, weights

pytestmark = [pytest.mark.slow, pytest.mark.fault]

ONE = ("--dataset", "digits", "--precision", "fp32", "--device", "cpu", "--threads", "1")
GRID = (
    "study",
    *ONE,
    "--seeds",
    "0-1",
    "--teacher-model",
    "small-cnn",
    "--teacher-epochs",
    "4",
    "--student-epochs",
    "4",
)
RUNS = 2 * (1 + 3)
KILLS = 10


def client(place) -> MlflowClient:
    return MlflowClient(place.store, place.store)


def runs(place, condition: str = ""):
    found = client(place)
    ids = [one.experiment_id for one in found.search_experiments()]
    return found.search_runs(ids, condition, max_results=1000)


def bits(place) -> dict[str, tuple[str, dict]]:
    """By signature, all trained weights, in short, and all metrics; each run is there once."""
    known = {}
    for run in [run for role in ("teacher", "student") for run in runs(place, f"tags.`kdflow.role` = '{role}'")]:
        assert run.info.status == "FINISHED"
        signature = run.data.tags["kdflow.signature"]
        assert signature not in known, "a run was trained twice"
        digest = hashlib.sha256()
        for name, value in sorted(weights(client(place), run.info.run_id).items()):
            digest.update(name.encode() + value.contiguous().numpy().tobytes())
        known[signature] = digest.hexdigest(), story(client(place), run.info.run_id)["metrics"]
    return known


def require_whole(place, reference) -> None:
    """Holds a store to have every run once, with the bits of the reference, and none that still runs."""
    ours = bits(place)
    assert len(ours) == RUNS
    assert ours == reference
    assert not runs(place, "attributes.status = 'RUNNING'")


@pytest.fixture(scope="module")
def reference(another_workplace):
    """The bits of the grid on one worker."""
    place = another_workplace()
    done = place.run(*GRID, "--workers", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    return bits(place)


def test_two_workers_and_split_cohorts_give_the_same_bits(workplace, reference):
    done = workplace.run(*GRID, "--workers", "2", "--cohort-size", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    require_whole(workplace, reference)
    studies = {run.info.run_id for run in runs(workplace, "tags.`kdflow.role` = 'study'")}
    trained = runs(workplace, "tags.`kdflow.role` = 'student'")
    assert {run.data.tags["kdflow.study_id"] for run in trained} == studies
    again = workplace.run(*GRID, "--workers", "2")
    assert again.returncode == 0
    assert f"{RUNS} finished before and reused; nothing to train" in again.stdout
    require_whole(workplace, reference)


def test_a_grid_that_is_to_be_anew_trains_all_again(workplace):
    small = ("--alphas", "1", "--teacher-epochs", "1", "--student-epochs", "1")
    for _ in range(2):
        done = workplace.run(*GRID, *small, "--reuse", "false")
        assert done.returncode == 0, done.stdout + done.stderr
    assert len(runs(workplace, "tags.`kdflow.role` = 'teacher' and attributes.status = 'FINISHED'")) == 4


def test_a_study_of_one_seed_gives_the_bits_of_its_part_of_the_grid(workplace, reference):
    alone = tuple(word for word in GRID if word not in ("--seeds", "0-1"))
    done = workplace.run(*alone, "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    ours = bits(workplace)
    assert len(ours) == RUNS // 2
    assert ours.items() <= reference.items()


def jobs_of(process) -> list[int]:
    """The processes that a study has started."""
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def test_jobs_that_are_killed_at_random_moments_go_on(workplace, reference, record_property):
    moments, killed = random.Random(7), 0
    while killed < KILLS:
        study = workplace.start(*GRID, "--workers", "2")
        while study.poll() is None and killed < KILLS:
            time.sleep(moments.uniform(1, 5))
            if study.poll() is None and (jobs := jobs_of(study)):
                with suppress(ProcessLookupError):
                    os.kill(moments.choice(jobs), signal.SIGKILL)
                    killed += 1
        said, error = study.communicate(timeout=400)
        if study.returncode:  # a job that was killed three times has failed alone
            assert study.returncode == 1, said + error
            assert "the same command again trains only what is missing" in error
        assert study.returncode or killed == KILLS, "it ended before it was killed as often as this test says"
    record_property("faults", killed)
    done = workplace.run(*GRID, "--workers", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    require_whole(workplace, reference)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_all_jobs_after_their_batch_and_the_same_command_goes_on(workplace, reference, signum, code):
    study = workplace.start(*GRID, "--workers", "2")
    next(line for line in study.stdout if line.startswith("Plan"))
    time.sleep(14)
    study.send_signal(signum)
    said, error = study.communicate(timeout=120)
    assert study.returncode == code, said + error
    assert "go on with: kdflow study --resume" in error
    assert not runs(workplace, "attributes.status = 'RUNNING'")
    done = workplace.run(*GRID, "--workers", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    require_whole(workplace, reference)


DIVERGING = ("--alphas", "1,0", "--student-lr", "1e6", "--student-clip-norm", "0", "--student-schedule", "constant")


def test_jobs_that_fail_fail_alone_and_are_named_and_what_diverged_is_not_tried_to_the_end_again(workplace):
    done = workplace.run(*GRID, *DIVERGING)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "4 of 6 runs are missing (student alpha=1, seed 0; student alpha=0 T=4, seed 0;" in done.stderr
    assert "ended by a loss that was no longer finite" in done.stderr
    assert "the same command again trains only what is missing" in done.stderr
    assert len(runs(workplace, "tags.`kdflow.role` = 'teacher' and attributes.status = 'FINISHED'")) == 2
    assert len(runs(workplace, "tags.`kdflow.role` = 'cohort' and attributes.status = 'FAILED'")) == 2


def test_ray_gives_the_same_bits_when_a_node_is_lost(workplace, reference):
    ray = pytest.importorskip("ray")
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        study = workplace.start(*GRID, "--on", "ray", "--ray-address", cluster.address)
        next(line for line in study.stdout if line.startswith("[1/"))
        cluster.remove_node(nodes[0], allow_graceful=False)
        cluster.add_node(num_cpus=1)
        said, error = study.communicate(timeout=400)
        assert study.returncode == 0, said + error
        require_whole(workplace, reference)
    finally:
        ray.shutdown()
        cluster.shutdown()
