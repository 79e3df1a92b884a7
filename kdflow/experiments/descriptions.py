"""What MLflow's pages say of experiment, study, runs, registered models and versions, in Markdown."""

from collections.abc import Mapping

from kdflow.common.text import plain, redact
from kdflow.config import CohortConfig, StudentConfig, StudyConfig, TeacherConfig, needs_teacher
from kdflow.config.option import show
from kdflow.data import Dataset
from kdflow.data.base import IMAGE_SIZE
from kdflow.distillers import build
from kdflow.reports.formats import markdown_escaped
from kdflow.tracking.champion import CHAMPION
from kdflow.tracking.descriptions import ADDRESS, EXPERIMENT, MODEL, RUN, VERSION

SHOWN_CLASSES = 10
"""How many classes a description names."""
LONGEST_REASON = 1000
BROKE_OFF, UNFINISHED = "**It broke off:**", "\n\nNot finished yet."
OF_EXPERIMENT = (
    "Knowledge distillation with kdflow: teachers, students that learn from labels (weight `alpha`) and from a teacher "
    "(weight `1 - alpha`), and studies of them.\n\n"
    "- A **study** compares its students in its own description, metrics and artifacts; below it are the seeds, and "
    "below each seed its students.\n"
    "- `final/test_accuracy` is the accuracy on test images, which nothing was chosen by. Students with `alpha=1` "
    "learn from labels alone: the others of their seed are compared with them.\n"
    "- The best model of each kind is `models:/kdflow-teacher-...@champion` or `models:/kdflow-student-...@champion`."
)


def of_training(config: TeacherConfig | StudentConfig, data: Dataset, taught_by: str) -> dict[str, str]:
    """What is said of a training run from its begin.

    Args:
        config: Of the run.
        data: What it sees.
        taught_by: The run of its teacher; empty where it learns from none.
    """
    return {EXPERIMENT: OF_EXPERIMENT, RUN: f"{_what(config, data, taught_by)}{UNFINISHED}"}


def of_model(
    config: TeacherConfig | StudentConfig, data: Dataset, taught_by: str, scores: Mapping[str, float], name: str
) -> dict[str, str]:
    """What is said of a finished training run, of the version that it registers, and of the registered model.

    Args:
        config: Of the run.
        data: What it saw.
        taught_by: The run of its teacher; empty where it learned from none.
        scores: The `final/` metrics.
        name: Of the registered model.
    """
    role = "teachers" if isinstance(config, TeacherConfig) else "students"
    accuracy = {part: f"{100 * scores[f'final/{part}_accuracy']:.2f} %" for part in ("train", "val", "test")}
    own = "\n\n".join(
        (
            f"Test accuracy {accuracy['test']} on the {len(data.test):,} test images of {_name(data)} (validation "
            f"{accuracy['val']}, training {accuracy['train']}).",
            _what(config, data, taught_by),
            _use(data, ADDRESS),
        )
    )
    whole = (
        f"Classifiers of {_name(data)}: {role} that kdflow trained, a version for each finished run. Each version says "
        f"its accuracy; `@{CHAMPION}` is the best on validation images of the newest data and split."
    )
    return {RUN: own, VERSION: own, MODEL: f"{whole}\n\n{_use(data, f'models:/{name}@{CHAMPION}')}"}


def of_cohort(config: CohortConfig, data: Dataset) -> dict[str, str]:
    """What is said of students that are trained side by side."""
    said = f"Students of seed {config.runtime.seed} on {_name(data)}, trained side by side: {_arms(config)}."
    return {EXPERIMENT: OF_EXPERIMENT, RUN: said}


def of_study(config: StudyConfig, data: Dataset) -> dict[str, str]:
    """What is said of a study until it is compared."""
    seeds = config.every_seed
    said = f"A study on {_name(data)}, {'seeds' if len(seeds) > 1 else 'seed'} {show(seeds)}: {_arms(config)}."
    return {EXPERIMENT: OF_EXPERIMENT, RUN: f"{said}{UNFINISHED}"}


def of_answer(told: str) -> dict[str, str]:
    """What is said of a study, or of a comparison, once it is there.

    Args:
        told: The answer and its table, in Markdown.
    """
    more = "The report, its figures and the tables with every run are among the artifacts; the metrics are fractions."
    return {RUN: f"{told.strip()}\n\n{more}"}


def of_end(said: str, why: str, go_on: str) -> str:
    """A run's description once it broke off.

    Args:
        said: What it said before, which may be how it broke off another time.
        why: In one line.
        go_on: What to type to go on; empty where it cannot.
    """
    reason = plain(redact(why))[:LONGEST_REASON]
    parts = [f"    {reason}", *(["Go on with", f"    {plain(go_on)}"] if go_on else [])]
    before = said.partition(BROKE_OFF)[0].replace(UNFINISHED, "").strip()
    return "\n\n".join([*filter(None, [before]), BROKE_OFF, *parts])


def _what(config: TeacherConfig | StudentConfig, data: Dataset, taught_by: str) -> str:
    """What is trained how, in one sentence."""
    epochs = f"{config.recipe.epochs} epoch{'s' * (config.recipe.epochs != 1)}"
    about = f"`{config.model}` on {_name(data)}, seed {config.runtime.seed}, {epochs}"
    if isinstance(config, TeacherConfig):
        return f"Teacher {about}, from the labels."
    if not needs_teacher(config.alpha):
        return f"Student {about}, from the labels alone (alpha = 1): what students of a teacher are compared with."
    built = build(config.distiller, temperature=config.temperature, knobs=config.knobs)
    settings = ", ".join(f"{name} = {show(getattr(built, name))}" for name in built.settings())
    teacher = f"{config.distiller}{f' ({settings})' * bool(settings)} of the teacher, run `{taught_by}`"
    if not config.alpha:
        return f"Student {about}, from the teacher alone (alpha = 0): {teacher}."
    shares = f"{show(config.alpha)} times cross-entropy with the labels + {1 - config.alpha:g} times {teacher}"
    return f"Student {about}, from {shares}."


def _arms(config: StudyConfig | CohortConfig) -> str:
    distilled = f"{', '.join(config.distillers)} at temperatures {show(config.temperatures)}"
    return f"alpha {show(config.alphas)}; {distilled}"


def _use(data: Dataset, address: str) -> str:
    """Input and output of a model, and how it is loaded."""
    first = ", ".join(markdown_escaped(name) for name in data.classes[:SHOWN_CLASSES])
    more = ", ..." if len(data.classes) > SHOWN_CLASSES else ""
    return (
        f"**Input:** raw pixels, RGB, 0 to 255: uint8 `[N, {IMAGE_SIZE}, {IMAGE_SIZE}, 3]`. **Output:** probabilities, "
        f"float32 `[N, {len(data.classes)}]`, of {first}{more}.\n\n"
        "```python\n"
        "import mlflow\n\n"
        f'model = mlflow.pyfunc.load_model("{address}")\n'
        "probabilities = model.predict(images)\n"
        "```"
    )


def _name(data: Dataset) -> str:
    return markdown_escaped(data.name)
