"""A grid has each run once, and jobs that are command lines and train exactly what is missing."""

import shlex
import time
from dataclasses import replace

import pytest

from kdflow.common.errors import UsageError
from kdflow.config import StudyConfig, configure, options
from kdflow.experiments.grid import Grid, students
from kdflow.experiments.study_plan import _makespan, job_config
from kdflow.training.identity import Signer

SIGNER = Signer({"kdflow.data_digest": "d" * 32, "kdflow.split_digest": "s" * 32}, "fp32")


def grid(**values: object) -> Grid:
    return Grid(configure(StudyConfig(), **values), SIGNER)


def shown(one: Grid) -> list[tuple[float, str, float]]:
    return [(run.config.alpha, run.config.distiller, run.config.temperature) for run in one.students]


def test_a_student_of_labels_alone_is_trained_once_however_many_temperatures_and_distillers() -> None:
    found = shown(grid(alphas="1,0.5,0", temperatures="1,4", distillers="soft-targets,rkd"))
    assert found == [
        (1.0, "soft-targets", 1.0),
        (0.5, "soft-targets", 1.0),
        (0.5, "soft-targets", 4.0),
        (0.5, "rkd", 4.0),
        (0.0, "soft-targets", 1.0),
        (0.0, "soft-targets", 4.0),
        (0.0, "rkd", 4.0),
    ]


def test_a_temperature_without_anything_to_soften_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^--temperature is 2: rkd has no temperature; leave it out$"):
        shown(grid(alphas="0", temperatures="2", distillers="rkd"))


def test_each_seed_has_its_teacher_or_all_have_that_of_the_first() -> None:
    each, one = grid(seeds="3-5"), grid(seeds="3-5", teachers="one")
    assert [run.config.runtime.seed for run in each.teachers.values()] == [3, 4, 5]
    assert {run.config.runtime.seed for run in one.teachers.values()} == {3}
    assert len(each.runs) == 3 + 9
    assert len(one.runs) == 1 + 9
    assert len({run.signature for run in each.runs}) == len(each.runs)
    taught = {run.taught_by for run in one.students if run.config.alpha < 1}
    assert taught == {one.teachers[3].signature}


def test_students_of_a_grid_are_known_as_they_are_in_a_study_of_their_seed() -> None:
    whole, part = grid(seeds="0-4"), grid(seed=3)
    assert {run.signature for run in part.runs} <= {run.signature for run in whole.runs}


def test_jobs_wait_for_their_teacher_and_are_command_lines_that_kdflow_reads() -> None:
    jobs = grid(seeds="0-1", temperatures="1,4", student_epochs=3, teacher_lr=0.2, dataset="digits").jobs({})
    assert [one.job.title for one in jobs] == ["teacher, seed 0", "teacher, seed 1", "cohort, seed 0", "cohort, seed 1"]
    assert [one.job.after for one in jobs] == [(), (), (jobs[0].job.name,), (jobs[1].job.name,)]
    assert jobs[1].job.arguments == ("teacher", "--lr", "0.2", "--dataset", "digits", "--seed", "1")
    command, *given = jobs[3].job.arguments
    assert command == "cohort"
    pairs = dict(zip(given[::2], given[1::2], strict=True))
    assert pairs["--teacher"] == f"signature:{jobs[1].signature}"
    known = options(StudyConfig().cohort_config())
    assert {flag.removeprefix("--").replace("-", "_") for flag in pairs} <= known.keys()


def test_cohorts_are_cut_to_size_without_a_student_lost_and_each_part_finds_its_own() -> None:
    whole, cut = grid(seeds="0-1", temperatures="1,4"), grid(seeds="0-1", temperatures="1,4", cohort_size=2)
    assert [len(part) for part in cut.cohorts.values()] == [2, 2, 1] * 2
    assert [run.signature for run in cut.students] == [run.signature for run in whole.students]
    for (seed, number), part in cut.cohorts.items():
        config = cut.config.of_seed(seed).cohort_config("", number)
        own = [run.config for run in part]
        assert [replace(one, teacher="") for one in students(config)] == [replace(one, teacher="") for one in own]


def test_what_is_done_has_no_job_and_a_teacher_that_is_done_is_named_by_its_run() -> None:
    whole = grid(seeds="0-1")
    teacher, other = whole.teachers[0], whole.teachers[1]
    jobs = whole.jobs({teacher.signature: "r" * 32, **{run.signature: "x" for run in whole.cohorts[1, 1]}})
    assert [one.job.title for one in jobs] == ["teacher, seed 1", "cohort, seed 0"]
    assert jobs[1].job.after == ()
    assert "r" * 32 in jobs[1].job.arguments
    assert whole.jobs({run.signature: "x" for run in whole.runs}) == []
    assert other.signature == jobs[0].signature


def test_jobs_side_by_side_have_a_thread_each_unless_more_are_asked_for() -> None:
    threads = {
        ("0-1", 0): 1,
        ("0-1", 2): 2,
        ("0", 0): 0,
        ("", 0): 0,
    }
    for (seeds, asked), meant in threads.items():
        assert job_config(configure(StudyConfig(), seeds=seeds, threads=asked)).runtime.threads == meant


def test_seed_and_seeds_that_contradict_each_other_and_unknown_places_are_refused() -> None:
    with pytest.raises(UsageError, match=r"^--seed 3 and --seeds: give one of them$"):
        configure(StudyConfig(), seed=3, seeds="0-1")
    with pytest.raises(UsageError, match="unknown place to run jobs 'moon'"):
        job_config(configure(StudyConfig(), on="moon"))


def test_the_time_is_that_of_the_worker_who_ends_last() -> None:
    assert _makespan([3, 3, 2, 2, 2], 2) == 7
    assert _makespan([5], 4) == 5


def test_ten_thousand_jobs_are_planned_in_seconds() -> None:
    began = time.process_time()
    jobs = grid(seeds="0-4999", alphas="1,0").jobs({})
    assert len(jobs) == 10_000
    assert all(shlex.join(one.job.arguments) for one in jobs)
    assert time.process_time() - began < 10, "it takes three"
