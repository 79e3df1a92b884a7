"""Options that several commands share, in groups: data, computing, a recipe of training, keeping."""

from dataclasses import dataclass, fields

from kdflow.config.base import Checked, flat, of
from kdflow.config.option import Option, Value, option


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
    cuda_graphs: bool = option(
        False, "Record the steps of training on CUDA once and replay them: quicker, and new.", incidental=True
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


@dataclass(frozen=True)
class PlacingConfig(Checked):
    """Where the jobs of a grid run, and how they are cut."""

    workers: int = option(
        0,
        "Jobs at a time; 0 is one a core, on Ray as many as fit.",
        low=0,
        high=10_000,
        incidental=True,
    )
    on: str = option("local", "Where jobs run: local or ray (see docs/scale.md).", metavar="NAME", incidental=True)
    ray_address: str = option(
        "", "Ray cluster; empty: that of RAY_ADDRESS, else one on this machine.", metavar="ADDRESS", incidental=True
    )
    gpus: float = option(0.0, "GPUs of a job on Ray; a fraction lets jobs share one.", low=0, high=64, incidental=True)
    cohort_size: int = option(
        0,
        "Students of a seed that share a job; 0 is all.",
        low=0,
        high=10_000,
        incidental=True,
    )
    dry_run: bool = option(False, "Show the plan, and train nothing.", incidental=True)
    plan: str = option(
        "", "Write the jobs to this file, a command a line, and train nothing.", metavar="PATH", incidental=True
    )


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

    @property
    def is_carried(self) -> bool:
        """Whether the store is given what another machine needs to go on."""
        return False


@dataclass(frozen=True)
class ResumableConfig(KeepingConfig):
    """The same for runs that can go on after they were stopped."""

    reuse: bool = option(
        True, "Take what is finished already, and go on with what was stopped; false trains anew.", incidental=True
    )
    checkpoints: str = option(
        "local",
        "Where checkpoints are kept: in --runs-dir, or also in the store, from which another machine goes on.",
        choices=("local", "store"),
        incidental=True,
    )
    resume: str = option(
        "", "Go on with this run, which was stopped: its run id. Its options are known.", incidental=True, metavar="RUN"
    )

    @property
    def is_carried(self) -> bool:
        """See `KeepingConfig`."""
        return self.checkpoints == "store" and not self.offline


@dataclass(frozen=True)
class AnswerConfig(Checked):
    """What counts as an answer."""

    margin: float = option(
        0.5,
        "Percentage points of test accuracy within which two arms count as equivalent; set it before looking.",
        above=0,
        high=100,
        incidental=True,
    )


TEACHER_RECIPE = Recipe(epochs=20, lr=0.1, weight_decay=5e-4)
STUDENT_RECIPE = Recipe(epochs=10, lr=0.05, weight_decay=1e-4)


def logged(config: Checked) -> dict[str, Value]:
    """What a run is known by: all values but those that say where it runs, keeps things and tells of them."""
    kept = {"data_dir", *(spec.name for group in (ResumableConfig, PlacingConfig) for spec in fields(group))}
    return {name: value for name, value in flat(config).items() if name not in kept}
