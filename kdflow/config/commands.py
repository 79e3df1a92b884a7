"""The options of each command: names, defaults, ranges. The command line, MLproject and the logged params follow it."""

from dataclasses import dataclass, replace
from typing import TypeVar

from kdflow.common.errors import UsageError
from kdflow.config.base import Checked, configure, flat, group, of
from kdflow.config.groups import (
    RUNS_DIR,
    STUDENT_RECIPE,
    TEACHER_RECIPE,
    AnswerConfig,
    DataConfig,
    KeepingConfig,
    PlacingConfig,
    Recipe,
    ResumableConfig,
    RuntimeConfig,
)
from kdflow.config.option import Option, option

TEACHER_MODEL = Option("alexnet", "Teacher model (see `kdflow list`).", metavar="NAME", group="teacher")
STUDENT_MODEL = Option("small-cnn", "Student model (see `kdflow list`).", metavar="NAME", group="student")
DISTILLER = Option(
    "soft-targets", "What the student learns from the teacher (see `kdflow list`).", metavar="NAME", group="method"
)
KNOBS = Option(
    "",
    "More settings of the distiller, as name=value,name=value (see `kdflow list`).",
    metavar="NAME=VALUE,...",
    group="method",
)
TEMPERATURE = Option(4.0, "Temperature of the soft targets.", low=0.1, high=100, group="method")
TEACHERS = "a run id or its beginning, runs:/id/model, models:/name (its champion), models:/name/version or @alias"
TEACHER = Option(
    "", f"Teacher: {TEACHERS}; empty: the champion of the same data and split.", metavar="RUN|MODEL", group="teacher"
)
ALPHA = Option(0.5, "Weight of the labels; 1 - alpha is the teacher's.", low=0, high=1, group="method")


def needs_teacher(alpha: float) -> bool:
    """Whether a student of this alpha learns from a teacher at all."""
    return alpha < 1


@dataclass(frozen=True)
class TeacherConfig(Checked):
    """One teacher."""

    model: str = of(TEACHER_MODEL)
    recipe: Recipe = group(TEACHER_RECIPE, "teacher")
    data: DataConfig = group(DataConfig(), "data")
    runtime: RuntimeConfig = group(RuntimeConfig(), "computing")
    keeping: ResumableConfig = group(ResumableConfig(), "keeping")


@dataclass(frozen=True)
class StudentConfig(Checked):
    """One student."""

    alpha: float = of(ALPHA)
    distiller: str = of(DISTILLER)
    temperature: float = of(TEMPERATURE)
    knobs: str = of(KNOBS)
    teacher: str = of(TEACHER)
    model: str = of(STUDENT_MODEL)
    recipe: Recipe = group(STUDENT_RECIPE, "student")
    data: DataConfig = group(DataConfig(), "data")
    runtime: RuntimeConfig = group(RuntimeConfig(), "computing")
    keeping: ResumableConfig = group(ResumableConfig(), "keeping")


ALPHAS = replace(ALPHA, default=(1.0, 0.0, 0.5), help="A student for each alpha.")
DISTILLERS = replace(
    DISTILLER, default=("soft-targets",), help="A student for each (see `kdflow list`).", metavar="NAME,...", each=str
)
TEMPERATURES = replace(TEMPERATURE, default=(4.0,), help="A student for each temperature.")
GRID_KNOBS = replace(
    KNOBS,
    help="More settings, as name=value,...; of several distillers as rkd.angle=50,... (see `kdflow list`).",
)


@dataclass(frozen=True)
class Arms(Checked):
    """Which students there are: one for each alpha, distiller and temperature."""

    alphas: tuple[float, ...] = of(ALPHAS)
    distillers: tuple[str, ...] = of(DISTILLERS)
    temperatures: tuple[float, ...] = of(TEMPERATURES)
    knobs: str = of(GRID_KNOBS)


@dataclass(frozen=True)
class CohortConfig(Arms):
    """Students of one seed, which share batches, augmentation and one forward of the teacher."""

    teacher: str = of(TEACHER)
    model: str = of(STUDENT_MODEL)
    recipe: Recipe = group(STUDENT_RECIPE, "student")
    cohort_size: int = option(
        0, "Students that share a job; 0 is all.", low=0, high=10_000, incidental=True, group="placing"
    )
    cohort_number: int = option(
        1, "Which of the cohorts of that size, from 1.", low=1, high=1_000_000, incidental=True, group="placing"
    )
    data: DataConfig = group(DataConfig(), "data")
    runtime: RuntimeConfig = group(RuntimeConfig(), "computing")
    keeping: ResumableConfig = group(ResumableConfig(), "keeping")

    def student_configs(self) -> list[StudentConfig]:
        """Its students, each as if it were trained alone; those that come to the same are there several times."""
        own = flat(self)
        shared = {name: own[name] for name in flat(StudentConfig()) if name in own and name != "knobs"}
        students = []
        for alpha in self.alphas:
            for distiller in self.distillers:
                knobs = knobs_of(distiller, self.knobs, self.distillers)
                softened = [float(knobs.pop("temperature"))] if "temperature" in knobs else self.temperatures
                said = {"alpha": alpha, "distiller": distiller, "knobs": knobs}
                students += [configure(StudentConfig(), **shared | said, temperature=one) for one in softened]
        return students


def knobs_of(distiller: str, knobs: str, among: tuple[str, ...]) -> dict[str, str]:
    """Of the settings of several distillers, those of one, by their own names.

    Args:
        distiller: Whose.
        knobs: Such as "rkd.angle=50,soft-targets.temperature=4".
        among: All distillers that they may be of.

    Raises:
        UsageError: it is not clear of which distiller a setting is, or that is none of them.
    """
    own = {}
    for knob in filter(None, (part.strip() for part in knobs.split(","))):
        name, equals, value = knob.partition("=")
        owner, dot, setting = name.rpartition(".")
        if not equals:
            raise UsageError(f"--knobs is {knobs!r}: give name=value,name=value")
        if dot and owner not in among:
            raise UsageError(f"--knobs {knob}: {owner} is none of the distillers ({', '.join(among)})")
        if not dot and len(among) > 1:
            raise UsageError(f"--knobs {knob}: say of which distiller, as {among[0]}.{knob}")
        if not dot or owner == distiller:
            own[setting.strip()] = value.strip()
    return own


@dataclass(frozen=True)
class StudyConfig(Arms):
    """A grid: for each seed a teacher, or one for all, and a student for each alpha, distiller and temperature."""

    teacher: str = option(
        "",
        f"Teacher: {TEACHERS}; empty: train one.",
        metavar="RUN|MODEL",
        group="teacher",
    )
    teachers: str = option(
        "each", "A teacher for each seed, or one, of the first seed, for all.", choices=("each", "one"), group="teacher"
    )
    teacher_model: str = of(TEACHER_MODEL)
    teacher_recipe: Recipe = group(TEACHER_RECIPE, "teacher", prefix="teacher_")
    student_model: str = of(STUDENT_MODEL)
    student_recipe: Recipe = group(STUDENT_RECIPE, "student", prefix="student_")
    data: DataConfig = group(DataConfig(), "data")
    seeds: tuple[int, ...] = option(
        (),
        "A teacher and students for each seed, such as 0-4; empty: --seed alone.",
        low=0,
        high=2**31,
        each=int,
        group="computing",
    )
    runtime: RuntimeConfig = group(RuntimeConfig(), "computing")
    answer: AnswerConfig = group(AnswerConfig(), "answer")
    placing: PlacingConfig = group(PlacingConfig(), "placing")
    keeping: ResumableConfig = group(ResumableConfig(), "keeping")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.teacher and any(flat(self)[name] != default for name, default in TEACHER_OPTIONS.items()):
            raise UsageError(
                "--teacher names a trained teacher: leave out --teacher-model, --teacher-epochs and the like"
            )
        if self.seeds and self.runtime.seed not in (RuntimeConfig().seed, self.seeds[0]):
            raise UsageError(f"--seed {self.runtime.seed} and --seeds: give one of them")

    @property
    def every_seed(self) -> tuple[int, ...]:
        """The seeds of the grid."""
        return self.seeds or (self.runtime.seed,)

    def of_seed(self, seed: int) -> "StudyConfig":
        """The same study of one seed."""
        runtime, keeping = replace(self.runtime, seed=seed), replace(self.keeping, resume="")
        return replace(self, seeds=(), runtime=runtime, keeping=keeping)

    def teacher_config(self) -> TeacherConfig:
        """Its teacher of one seed, as if it were trained alone."""
        return TeacherConfig(self.teacher_model, self.teacher_recipe, self.data, self.runtime, self.keeping)

    def cohort_config(self, teacher: str = "", number: int = 1) -> CohortConfig:
        """A cohort of its students of one seed, as if it were trained alone.

        Args:
            teacher: That they learn from.
            number: Which of the cohorts of a seed, from 1.
        """
        return CohortConfig(
            alphas=self.alphas,
            distillers=self.distillers,
            temperatures=self.temperatures,
            knobs=self.knobs,
            teacher=teacher,
            model=self.student_model,
            recipe=self.student_recipe,
            cohort_size=self.placing.cohort_size,
            cohort_number=number,
            data=self.data,
            runtime=self.runtime,
            keeping=self.keeping,
        )


# How a study's teacher is trained, which is settled once there is one.
TEACHER_OPTIONS = {name: value for name, value in flat(StudyConfig()).items() if name.startswith("teacher_")}


@dataclass(frozen=True)
class CompareConfig(Checked):
    """Which finished runs are compared."""

    teacher: str = option(
        "",
        f"Compare the students of this teacher: {TEACHERS}; empty: those that have the most, one for each seed.",
        metavar="RUN|MODEL",
        group="teacher",
    )
    dataset: str = option(
        "", "Only runs on this data set; empty: that of the newest run.", metavar="NAME|PATH", group="data"
    )
    baseline: str = option(
        "",
        "Compare with this arm, such as 'alpha=0.5 T=4'; empty: with alpha = 1 of the same recipe.",
        metavar="ARM",
        group="answer",
    )
    answer: AnswerConfig = group(AnswerConfig(), "answer")
    keeping: KeepingConfig = group(KeepingConfig(), "keeping")


@dataclass(frozen=True)
class ReportConfig(CompareConfig):
    """Which finished runs are reported on, and where the report goes."""

    output: str = option(
        "report", "Folder of the report: a page, its figures, tables.", metavar="PATH", incidental=True, group="report"
    )
    open: bool = option(False, "Open the page in a browser.", incidental=True, group="report")


@dataclass(frozen=True)
class StoreConfig(Checked):
    """For what looks after finished and broken-off runs."""

    runs_dir: str = of(RUNS_DIR)


@dataclass(frozen=True)
class DoctorConfig(StoreConfig):
    """For what mends them."""

    relocate: bool = option(False, "Let a sqlite store that was moved with its artifacts find them again.")


@dataclass(frozen=True)
class SyncConfig(StoreConfig):
    """For telling the store what it missed."""

    experiment: str = option(
        "", "Tell it to the experiment of this name; empty: to those that were chosen when the runs began."
    )


Resumable = TypeVar("Resumable", TeacherConfig, StudentConfig, CohortConfig, StudyConfig)
AnyConfig = TypeVar(
    "AnyConfig",
    TeacherConfig,
    StudentConfig,
    CohortConfig,
    StudyConfig,
    CompareConfig,
    ReportConfig,
    StoreConfig,
    SyncConfig,
    DoctorConfig,
)
