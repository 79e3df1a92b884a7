"""The options of each command: names, defaults, ranges. The command line, MLproject and the logged params follow it."""

from dataclasses import dataclass, replace
from typing import TypeVar

from kdflow.common.errors import UsageError
from kdflow.config.base import Checked, flat, group, of
from kdflow.config.groups import (
    RUNS_DIR,
    STUDENT_RECIPE,
    TEACHER_RECIPE,
    DataConfig,
    KeepingConfig,
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
    teacher: str = option(
        "",
        f"Teacher: {TEACHERS}; empty: the champion of the same data and split.",
        metavar="RUN|MODEL",
        group="teacher",
    )
    model: str = of(STUDENT_MODEL)
    recipe: Recipe = group(STUDENT_RECIPE, "student")
    data: DataConfig = group(DataConfig(), "data")
    runtime: RuntimeConfig = group(RuntimeConfig(), "computing")
    keeping: ResumableConfig = group(ResumableConfig(), "keeping")


@dataclass(frozen=True)
class StudyConfig(Checked):
    """A teacher, and a student for each pair of alpha and temperature."""

    alphas: tuple[float, ...] = of(replace(ALPHA, default=(1.0, 0.0, 0.5), help="A student for each alpha."))
    distiller: str = of(DISTILLER)
    temperatures: tuple[float, ...] = of(replace(TEMPERATURE, default=(4.0,), help="A student for each temperature."))
    knobs: str = of(KNOBS)
    teacher: str = option(
        "",
        f"Teacher: {TEACHERS}; empty: train one.",
        metavar="RUN|MODEL",
        group="teacher",
    )
    teacher_model: str = of(TEACHER_MODEL)
    teacher_recipe: Recipe = group(TEACHER_RECIPE, "teacher", prefix="teacher_")
    student_model: str = of(STUDENT_MODEL)
    student_recipe: Recipe = group(STUDENT_RECIPE, "student", prefix="student_")
    data: DataConfig = group(DataConfig(), "data")
    runtime: RuntimeConfig = group(RuntimeConfig(), "computing")
    keeping: ResumableConfig = group(ResumableConfig(), "keeping")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.teacher and any(flat(self)[name] != default for name, default in TEACHER_OPTIONS.items()):
            raise UsageError(
                "--teacher names a trained teacher: leave out --teacher-model, --teacher-epochs and the like"
            )

    def teacher_config(self) -> TeacherConfig:
        """The study's teacher, as if it were trained alone."""
        return TeacherConfig(self.teacher_model, self.teacher_recipe, self.data, self.runtime, self.keeping)

    def student_configs(self) -> list[StudentConfig]:
        """The study's students, each as if it were trained alone; at alpha = 1 there is no temperature to vary."""
        student = StudentConfig(
            distiller=self.distiller,
            knobs=self.knobs,
            model=self.student_model,
            recipe=self.student_recipe,
            data=self.data,
            runtime=self.runtime,
            keeping=self.keeping,
        )
        return [
            replace(student, alpha=alpha, temperature=temperature)
            for alpha in self.alphas
            for temperature in (self.temperatures if needs_teacher(alpha) else self.temperatures[:1])
        ]


# How a study's teacher is trained, which is settled once there is one.
TEACHER_OPTIONS = {name: value for name, value in flat(StudyConfig()).items() if name.startswith("teacher_")}


@dataclass(frozen=True)
class CompareConfig(Checked):
    """Which finished runs are compared."""

    teacher: str = option(
        "",
        f"Compare the students of this teacher: {TEACHERS}; empty: the teacher with the most students.",
        metavar="RUN|MODEL",
        group="teacher",
    )
    dataset: str = option(
        "", "Only runs on this data set; empty: that of the newest run.", metavar="NAME|PATH", group="data"
    )
    keeping: KeepingConfig = group(KeepingConfig(), "keeping")


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


AnyConfig = TypeVar(
    "AnyConfig", TeacherConfig, StudentConfig, StudyConfig, CompareConfig, StoreConfig, SyncConfig, DoctorConfig
)
