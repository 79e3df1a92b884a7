"""Every option of kdflow: names, defaults, ranges. The command line, MLproject and the logged params all follow it."""

from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, TypeVar

from kdflow.errors import UsageError, raise_all
from kdflow.options import Option, Value, flag, option, show
from kdflow.suggestions import close, variants


class Checked:
    """Checks each option of a config when it is made.

    Raises:
        UsageError: an option has a value that it cannot have.
    """

    def __post_init__(self) -> None:
        for spec in fields(self):  # type: ignore[arg-type]
            if "option" in spec.metadata:
                value = spec.metadata["option"].read(flag(spec.name), getattr(self, spec.name))
                object.__setattr__(self, spec.name, value)


@dataclass(frozen=True)
class DataConfig(Checked):
    """Which images, and how they are split."""

    dataset: str = option(
        "cifar10", "Data set: digits, cifar10, cifar100, or a folder of images.", incidental=True, metavar="NAME|PATH"
    )
    data_dir: str = option("data", "Where downloaded archives are kept.", incidental=True, metavar="PATH")
    resize: bool = option(False, "Scale a folder's images to 32x32 instead of refusing other sizes.")
    val_fraction: float = option(0.1, "Share of the training images held out for validation.", low=0.01, high=0.5)
    split_seed: int = option(0, "Seed of the split; keep it, so that runs can be compared.", low=0, high=2**31)
    flip: bool = option(True, "Mirror images at random; false for what has a direction (digits are never mirrored).")
    augment_val: bool = option(True, "Crop and flip the validation images once, the same draw for every run.")


@dataclass(frozen=True)
class RuntimeConfig(Checked):
    """On what, and from which seed."""

    seed: int = option(0, "Seed of weights, order, augmentation and dropout.", low=0, high=2**31)
    device: str = option(
        "auto", "Where to train; auto takes CUDA if there is any.", choices=("auto", "cpu", "cuda"), incidental=True
    )
    precision: str = option(
        "auto", "Arithmetic of training; auto takes bf16 where the chip has it.", choices=("auto", "bf16", "fp32")
    )
    deterministic: bool = option(
        False, "Hold CUDA to algorithms that repeat themselves; with fp32: the reference.", incidental=True
    )
    threads: int | str = option(
        0,
        "CPU threads; 0 is every core, auto tries at the start whether one or all are faster.",
        low=0,
        high=1024,
        words=("auto",),
        incidental=True,
    )


@dataclass(frozen=True)
class Recipe(Checked):
    """How stochastic gradient descent is run."""

    epochs: int = option(10, "Passes over the training images.", low=1, high=10_000)
    batch_size: int = option(128, "Images a step; an incomplete last batch is left out.", low=2, high=65_536)
    lr: float = option(0.05, "Peak learning rate.", above=0, high=1e6)
    momentum: float = option(0.9, "Nesterov momentum; 0 is plain SGD.", low=0, high=0.999)
    weight_decay: float = option(1e-4, "L2 penalty on all weights.", low=0, high=1)
    schedule: str = option("one-cycle", "Learning rate over time.", choices=("one-cycle", "cosine", "constant"))
    clip_norm: float = option(5.0, "Largest gradient norm of a step; 0 does not clip.", low=0, high=1e6)


def group(default: Any, heading: str, *, prefix: str = "") -> Any:
    """A dataclass field that holds further options, under one heading of `--help`, their names prefixed."""
    return field(default=default, metadata={"prefix": prefix, "heading": heading})


def of(spec: Option) -> Any:
    """A dataclass field for an option that several configs share."""
    return field(default=spec.default, metadata={"option": spec})


RUNS_DIR = Option(
    "runs",
    "Folder of runs: checkpoints, and what the store must be told.",
    incidental=True,
    metavar="PATH",
    group="keeping",
)


@dataclass(frozen=True)
class KeepingConfig(Checked):
    """Where a run keeps what it needs to go on, and when it tells the store."""

    runs_dir: str = of(RUNS_DIR)
    offline: bool = option(
        False,
        "Leave the MLflow store alone; `kdflow sync` tells it later.",
        incidental=True,
    )


@dataclass(frozen=True)
class ResumableConfig(KeepingConfig):
    """The same for runs that can go on after they were stopped."""

    resume: str = option(
        "", "Go on with this run, which was stopped: its run id. Its options are known.", incidental=True, metavar="RUN"
    )


TEACHER_RECIPE = Recipe(epochs=20, lr=0.1, weight_decay=5e-4)
STUDENT_RECIPE = Recipe(epochs=10, lr=0.05, weight_decay=1e-4)


def flat(config: Checked) -> dict[str, Value]:
    """All values of a config by flat name."""
    return {prefix + spec.name: getattr(owner, spec.name) for owner, spec, prefix, _ in _walk(config)}


def texts(config: Checked) -> dict[str, str]:
    """All values of a config by flat name, as they would be typed."""
    return {name: show(value) for name, value in flat(config).items()}


def logged(config: Checked) -> dict[str, Value]:
    """What a run is known by: all values but those that say where it keeps things and when it tells the store."""
    kept = {spec.name for spec in fields(ResumableConfig)}
    return {name: value for name, value in flat(config).items() if name not in kept}


def _walk(config: Checked, prefix: str = "", heading: str = "") -> Iterator[tuple[Checked, Field[Any], str, str]]:
    for spec in fields(config):  # type: ignore[arg-type]
        if "option" in spec.metadata:
            yield config, spec, prefix, heading
        else:
            below = spec.metadata
            yield from _walk(getattr(config, spec.name), prefix + below["prefix"], below["heading"])


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
            for temperature in (self.temperatures[:1] if alpha == 1 else self.temperatures)
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


def options(config: Checked) -> dict[str, Option]:
    """All options of a config by flat name, such as `teacher_epochs`; the defaults are the config's values."""
    return {
        prefix + spec.name: replace(
            spec.metadata["option"],
            default=getattr(owner, spec.name),
            group=spec.metadata["option"].group or heading,
        )
        for owner, spec, prefix, heading in _walk(config)
    }


def named_otherwise(name: str, config: Checked) -> str:
    """What to choose from in place of a name that no option has, and which of it may have been meant."""
    known, command = options(config), type(config).__name__.removesuffix("Config").lower()
    near = variants(name, known, command=command) or close(name, known)
    return f"choose from {', '.join(known)}" + (f"; did you mean {' or '.join(near)}?" if near else "")


def configure(config: AnyConfig, /, **values: object) -> AnyConfig:
    """A copy of the config with some options set, by flat name, from text or typed values.

    Raises:
        UsageError: an option is unknown or has a value that it cannot have; `Problems` if several are wrong.
    """
    known = options(config)
    checked, problems = {}, []
    for name, raw in values.items():
        try:
            if name not in known:
                raise UsageError(f"there is no option {name!r}: {named_otherwise(name, config)}")
            checked[name] = known[name].read(flag(name), raw)
        except UsageError as error:
            problems.append(error)
    raise_all(problems)
    return _with(config, checked, prefix="")


def _with(config: Any, values: Mapping[str, Any], prefix: str) -> Any:
    changes = {}
    for spec in fields(config):
        if "option" not in spec.metadata:
            changes[spec.name] = _with(getattr(config, spec.name), values, prefix + spec.metadata["prefix"])
        elif prefix + spec.name in values:
            changes[spec.name] = values[prefix + spec.name]
    return replace(config, **changes)
