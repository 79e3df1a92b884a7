"""kdflow from Python: the commands as functions, their options as keywords, results that a notebook shows as tables.

What goes wrong is a `KdflowError` with the message that the command line prints. No signal handler is set and nothing
ends the process: Ctrl-C is a KeyboardInterrupt as anywhere, and `resume=` goes on after it.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kdflow.common import files, process
from kdflow.config import (
    AnyConfig,
    CohortConfig,
    CompareConfig,
    ExportConfig,
    PredictConfig,
    ReportConfig,
    StudentConfig,
    StudyConfig,
    TeacherConfig,
    configure,
    options,
)

if TYPE_CHECKING:
    from kdflow.analysis.answer import Answer
    from kdflow.analysis.comparison import Comparison
    from kdflow.experiments.image_predictions import ImagePredictions
    from kdflow.experiments.results import Trained

NESTED = "With nested=True its run is nested in the active run of MLflow, as `mlflow.start_run(nested=True)` does it."
Function = TypeVar("Function", bound=Callable[..., object])


def _with_options_of(config: AnyConfig, *, is_run: bool = True) -> Callable[[Function], Function]:
    """Lets `help` and completion know the options of a function that takes them as they come.

    Args:
        config: The options.
        is_run: Whether it makes a run, which can be nested.
    """

    def decorate(function: Function) -> Function:
        known = options(config)
        about = [inspect.cleandoc(function.__doc__ or ""), "", *[NESTED, ""] * is_run]
        about += ["Options; one that is None has its default:"]
        about += [f"    {name}: {one.help} ({one.allowed}; default {one.default!r})" for name, one in known.items()]
        function.__doc__ = "\n".join(about)
        kind = inspect.Parameter.KEYWORD_ONLY
        keywords = [inspect.Parameter("nested", kind, default=False)] * is_run
        keywords += [inspect.Parameter(name, kind, default=one.default) for name, one in known.items()]
        signature = inspect.signature(function).replace(parameters=keywords)
        vars(function)["__signature__"] = signature
        return function

    return decorate


@_with_options_of(StudyConfig())
def run_study(*, nested: bool = False, **given: object) -> "Comparison | None":
    """Trains teachers and students, a grid of seeds, alphas, distillers and temperatures, and compares them."""
    return _run("study", StudyConfig(), given, nested=nested)


@_with_options_of(TeacherConfig())
def run_teacher(*, nested: bool = False, **given: object) -> "Trained":
    """Trains, evaluates, logs and registers a teacher."""
    return _run("teacher", TeacherConfig(), given, nested=nested)


@_with_options_of(StudentConfig())
def run_student(*, nested: bool = False, **given: object) -> "Trained":
    """Trains a student on alpha * labels + (1 - alpha) * teacher, evaluates, logs and registers it."""
    return _run("student", StudentConfig(), given, nested=nested)


@_with_options_of(CohortConfig())
def run_cohort(*, nested: bool = False, **given: object) -> "list[Trained]":
    """Trains students of one seed side by side, on the same batches and one forward of the teacher."""
    return _run("cohort", CohortConfig(), given, nested=nested)


@_with_options_of(CompareConfig())
def run_compare(*, nested: bool = False, **given: object) -> "Comparison":
    """Compares finished runs and logs tables and figures as a run of its own."""
    return _run("compare", CompareConfig(), given, nested=nested)


@_with_options_of(ReportConfig(), is_run=False)
def run_report(**given: object) -> "Answer":
    """Answers what students gain and writes the report on it: a page, figures, tables."""
    return _run("report", ReportConfig(), given)


def predict(
    model: str | Path, *images: str | Path, top: int = 1, offline: bool = False, runs_dir: str | Path = "runs"
) -> "ImagePredictions":
    """What a trained model takes images for.

    Args:
        model: A run id or its beginning, models:/name (its champion), models:/name/version or @alias, a folder of
            weights, or an `.onnx` file.
        images: Files of any size and format that Pillow reads, and folders of them.
        top: Classes given of each image, the most probable first.
        offline: Ask nothing of the MLflow store: take the model from `runs_dir`.
        runs_dir: Folder of runs.

    Returns:
        A prediction for each image that can be read, and what is wrong with the others.

    Raises:
        KdflowError: see `kdflow.experiments.predict.run_predict`.
    """
    config = configure(PredictConfig(), top=top, offline=offline, runs_dir=runs_dir)
    with _as_before():
        from kdflow.experiments.predict import run_predict

        return run_predict(str(model), images, config)


def export(
    model: str | Path,
    *,
    format: str = "onnx",
    output: str | Path = "",
    offline: bool = False,
    runs_dir: str | Path = "runs",
) -> Path:
    """Writes a trained model to a file that runs without kdflow: raw images in, probabilities out.

    Args:
        model: A run id or its beginning, models:/name (its champion), models:/name/version or @alias, or a folder of
            weights.
        format: "onnx", or "pt2", an exported program of PyTorch.
        output: The file; if empty, it is named after network and weights.
        offline: Ask nothing of the MLflow store: take the model from `runs_dir`.
        runs_dir: Folder of runs.

    Returns:
        The file.

    Raises:
        KdflowError: see `kdflow.experiments.export.run_export`.
    """
    config = configure(ExportConfig(), format=format, output=output, offline=offline, runs_dir=runs_dir)
    with _as_before():
        from kdflow.experiments.export import run_export

        return run_export(str(model), config)


def _run(kind: str, config: Any, given: Mapping[str, object], **nested: bool) -> Any:
    files.require_working_folder()
    said = {name: value for name, value in given.items() if value is not None}
    checked = configure(config, **said)
    with _as_before():
        from kdflow.experiments import commands, report, study
        from kdflow.experiments.stopped_run import options_of_stopped_run

        if said.get("resume"):
            checked = options_of_stopped_run(kind, config, said)
        place = {"study": study, "report": report}.get(kind, commands)
        return getattr(place, f"run_{kind}")(checked, **nested)


@contextmanager
def _as_before() -> Iterator[None]:
    """Within this, the process is as kdflow needs it; afterwards, as it was."""
    with process.lent():
        from kdflow.device.threads import threads_as_before
        from kdflow.tracking.client import quieted

        with quieted(), threads_as_before():
            yield
