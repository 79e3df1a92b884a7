"""A study as a grid: which runs it has, what each is known by, and the jobs that train them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from kdflow.common.errors import UsageError
from kdflow.config import (
    Checked,
    CohortConfig,
    StudentConfig,
    StudyConfig,
    TeacherConfig,
    flat,
    needs_teacher,
)
from kdflow.config.option import flag, show
from kdflow.distillers import distillers
from kdflow.launchers.base import Job
from kdflow.tracking.references import SIGNATURE
from kdflow.training.identity import Signer, joint_signature


@dataclass(frozen=True)
class PlannedRun:
    """A run to be.

    Attributes:
        config: Of the run.
        signature: What it is known by.
        taught_by: The signature of its teacher; empty without one.
    """

    config: TeacherConfig | StudentConfig
    signature: str
    taught_by: str = ""

    @property
    def name(self) -> str:
        """See `run_name`."""
        return run_name(self.config)


@dataclass(frozen=True)
class PlannedJob:
    """A job, the runs that it trains, and what the command is known by."""

    job: Job
    runs: tuple[PlannedRun, ...]
    signature: str

    @property
    def is_teacher(self) -> bool:
        """Whether it trains a teacher."""
        return isinstance(self.runs[0].config, TeacherConfig)


def student_name(config: StudentConfig) -> str:
    """A student as it is shown, such as "alpha=0 T=4"."""
    name = f"alpha={show(config.alpha)}"
    if not needs_teacher(config.alpha):
        return name
    if config.distiller != StudentConfig().distiller:
        name += f" {config.distiller}"
    return f"{name} T={show(config.temperature)}" if _is_softened(config) else name


def run_name(config: TeacherConfig | StudentConfig) -> str:
    """What a run is called, such as "teacher alexnet seed=0" or "student alpha=0 T=4 seed=1"."""
    what = f"teacher {config.model}" if isinstance(config, TeacherConfig) else f"student {student_name(config)}"
    return f"{what} seed={config.runtime.seed}"


def cohort_name(config: CohortConfig, data: str, *, of_study: bool) -> str:
    """What the run of a cohort is called: in a study by its seed, such as "seed 1".

    Args:
        config: Of the cohort.
        data: Short name of the data set.
        of_study: Whether the cohort is a job of a study.
    """
    seed = f"seed {config.runtime.seed}" + f", part {config.cohort_number}" * bool(config.cohort_size)
    return seed if of_study else f"cohort {data} {seed}"


def study_name(config: StudyConfig, data: str) -> str:
    """What the run of a study is called, such as "study digits seeds 0-4"."""
    seeds = config.every_seed
    return f"study {data} {'seeds' if len(seeds) > 1 else 'seed'} {show(seeds)}"


def students(config: CohortConfig) -> list[StudentConfig]:
    """The students of one seed, each once, cut to the cohort that is asked for.

    At alpha = 1 there is neither distiller nor temperature to vary; a distiller without temperature beside one that has
    it is trained once.

    Raises:
        UsageError: there is no such cohort.
    """
    softened = any("temperature" in distillers[name].settings() for name in config.distillers)
    unique: dict[tuple[object, ...], StudentConfig] = {}
    for one in config.student_configs():
        if softened and not _is_softened(one):
            one = replace(one, temperature=StudentConfig().temperature)
        taught = (one.distiller, one.temperature) if needs_teacher(one.alpha) else ()
        unique.setdefault((one.alpha, *taught), one)
    whole = list(unique.values())
    if not config.cohort_size:
        return whole
    first = (config.cohort_number - 1) * config.cohort_size
    if first >= len(whole):
        raise UsageError(f"--cohort-number {config.cohort_number}: there are fewer cohorts of {config.cohort_size}")
    return whole[first : first + config.cohort_size]


@dataclass(frozen=True)
class Grid:
    """All that a study trains.

    Args:
        config: Of the study.
        signer: Gives signatures on its data and arithmetic.
        known: The signature and reference of a teacher that is trained already; empty if teachers are trained.
    """

    config: StudyConfig
    signer: Signer
    known: tuple[str, str] | tuple[()] = ()

    @cached_property
    def teachers(self) -> dict[int, PlannedRun]:
        """The teacher of each seed; one for all where that is asked for, none where one is named."""
        if self.known:
            return {}
        seeds = self.config.every_seed
        trained = seeds if self.config.teachers == "each" else seeds[:1]
        made = {}
        for seed in trained:
            config = self.config.of_seed(seed).teacher_config()
            made[seed] = PlannedRun(config, self.signer.sign(config))
        return {seed: made.get(seed, made[trained[0]]) for seed in seeds}

    @cached_property
    def cohorts(self) -> dict[tuple[int, int], tuple[PlannedRun, ...]]:
        """The students of each seed and cohort."""
        whole = students(replace(self.config.cohort_config(), cohort_size=0))
        size = self.config.placing.cohort_size or len(whole)
        return {
            (seed, 1 + first // size): tuple(self._student(one, seed) for one in whole[first : first + size])
            for seed in self.config.every_seed
            for first in range(0, len(whole), size)
        }

    @property
    def students(self) -> list[PlannedRun]:
        """Of all seeds."""
        return [one for cohort in self.cohorts.values() for one in cohort]

    @property
    def runs(self) -> list[PlannedRun]:
        """All of them, teachers first, each once."""
        return [*{one.signature: one for one in self.teachers.values()}.values(), *self.students]

    def jobs(self, done: Mapping[str, str]) -> list[PlannedJob]:
        """The jobs that train what is not done, teachers first.

        Args:
            done: By signature, the runs that are finished.
        """
        made, teaching = list[PlannedJob](), dict[str, str]()
        for seed, teacher in self.teachers.items():
            if teacher.signature not in done and teacher.signature not in teaching:
                name = f"teacher-{teacher.signature[:12]}"
                teaching[teacher.signature] = name
                job = Job(name, f"teacher, seed {seed}", ("teacher", *typed_again(teacher.config)))
                made.append(PlannedJob(job, (teacher,), teacher.signature))
        for (seed, number), cohort in self.cohorts.items():
            if left := tuple(one for one in cohort if one.signature not in done):
                taught_by = next((one.taught_by for one in cohort if one.taught_by), "")
                known = self.known[1] if self.known else done.get(taught_by, f"{SIGNATURE}{taught_by}")
                job = self._cohort_job(seed, number, known if taught_by else "", teaching.get(taught_by, ""))
                made.append(PlannedJob(job, left, joint_signature("cohort", [one.signature for one in cohort])))
        return made

    def _cohort_job(self, seed: int, number: int, reference: str, after: str) -> Job:
        config = self.config.of_seed(seed).cohort_config(reference, number)
        title = f"cohort, seed {seed}" + f", part {number}" * bool(self.config.placing.cohort_size)
        return Job(f"cohort-{seed}-{number}", title, ("cohort", *typed_again(config)), (after,) if after else ())

    def _student(self, config: StudentConfig, seed: int) -> PlannedRun:
        config = replace(config, runtime=replace(config.runtime, seed=seed))
        taught_by = (
            (self.known[0] if self.known else self.teachers[seed].signature) if needs_teacher(config.alpha) else ""
        )
        return PlannedRun(config, self.signer.sign(config, taught_by), taught_by)


def typed_again(config: Checked) -> list[str]:
    """The options of a config that are not at their defaults, as they are typed."""
    usual = flat(type(config)())
    said = {name: value for name, value in flat(config).items() if value != usual[name] and name != "resume"}
    return [word for name, value in said.items() for word in (flag(name), show(value))]


def told(names: Sequence[str], most: int = 6) -> str:
    """Names in a row, the first few of many."""
    return "; ".join(names[:most]) + f" and {len(names) - most} more" * (len(names) > most)


def _is_softened(config: StudentConfig) -> bool:
    return "temperature" in distillers[config.distiller].settings()
