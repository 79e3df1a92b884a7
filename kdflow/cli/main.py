"""The command line: options from the configs, one call into `study`, errors as one line and an exit code."""

import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import click

from kdflow.cli import exits
from kdflow.cli.help import Command, Described, FileOption, debug_flag, quiet_flag
from kdflow.common import console, files, process, signals
from kdflow.common.errors import KdflowError, UnforeseenError
from kdflow.common.version import __version__
from kdflow.config import (
    CohortConfig,
    CompareConfig,
    DoctorConfig,
    ExportConfig,
    PredictConfig,
    ReportConfig,
    StudentConfig,
    StudyConfig,
    SyncConfig,
    TeacherConfig,
    configure,
    options,
)

EPILOG = (
    "Exit codes: 0 done, 1 run failed, 2 wrong option, 3 data or teacher invalid, 4 tracking, 130 Ctrl-C, 143 SIGTERM."
)


def main() -> NoReturn:
    """Runs the command line and ends the process with the documented exit code."""
    try:
        process.require_utf8()
        console.escape_what_cannot_be_encoded()
        console.hush(on="--quiet" in sys.argv)
        warnings.showwarning = exits.show_warning
        process.prepare()
        signals.listen()
        kdflow.main(standalone_mode=False)
        code = 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        code = exits.fail([error.format_message()], code=error.exit_code)
    except SystemExit:
        raise
    except BaseException as error:
        code = exits.tell(error.__cause__ or error if isinstance(error, click.Abort) else error)
    exits.end(code)


@click.group(
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(__version__)
def kdflow() -> None:
    """What does a small student gain from a teacher under a restricted number of epochs?"""


kdflow.params.append(debug_flag())


def _add(run: Callable[..., None], name: str, **settings: Any) -> click.Command:
    """Makes a function a command; whatever it raises is told, and nothing else makes of it what it is not."""

    def callback(**texts: Any) -> None:
        try:
            run(**texts)
        except (KdflowError, click.ClickException):
            raise
        except Exception as error:  # click takes the end of a file for Ctrl-C, and a broken pipe for one of its own
            raise UnforeseenError(error) from error

    command = Command(name, callback=callback, help=run.__doc__, elsewhere=_all_options, **settings)
    kdflow.add_command(command)
    return command


def _all_options() -> dict[str, set[str]]:
    return {name: {str(param.name) for param in command.params} for name, command in kdflow.commands.items()}


def _command(
    config: Any, *arguments: click.Argument, long: bool = False
) -> Callable[[Callable[..., None]], click.Command]:
    """A command with one text option for each option of the config; the config reads and checks the texts.

    Args:
        config: The defaults.
        arguments: What is given without the name of an option, and handed on as it is.
        long: Whether it takes its time, and options from a file.
    """

    def decorate(run: Callable[..., None]) -> click.Command:
        def configured(config_file: str | None = None, **texts: Any) -> None:
            files.require_working_folder()
            given_first = [texts.pop(str(one.name)) for one in arguments]
            # In Kubernetes MLflow quotes the words of a command for a shell that is not there: `''` says nothing.
            typed = {name: "" if text == "''" else text for name, text in texts.items() if text is not None}
            given = {**_from_file(config_file, config), **typed}
            checked = configure(config, **given)
            if given.get("resume"):
                checked = _stopped_options(run.__name__, config, given, typed=len(typed))
            run(*given_first, checked)

        configured.__doc__ = run.__doc__
        described = [Described(name, spec, alone=bool(arguments)) for name, spec in options(config).items()]
        params = [*arguments, *described]
        return _add(configured, run.__name__, params=params, extra=[FileOption(), quiet_flag()] if long else [])

    return decorate


def _from_file(path: str | None, config: Any) -> dict[str, object]:
    if path is None:
        return {}
    from kdflow.config.settings_file import read

    return read(path, config)


def _stopped_options(kind: str, config: Any, given: dict[str, object], *, typed: int) -> Any:
    """The options of a stopped run. `mlflow run` types all options, so that its defaults mean that nothing is said."""
    from kdflow.experiments.stopped_run import options_of_stopped_run

    if typed == len(options(config)):
        given = {name: text for name, text in given.items() if configure(config, **{name: text}) != config}
    return options_of_stopped_run(kind, config, given)


@_command(StudyConfig(), long=True)
def study(config: StudyConfig) -> None:
    """Train teachers and students, a grid of seeds, alphas, distillers and temperatures, and compare them."""
    from kdflow.experiments.study import run_study

    run_study(config)


@_command(TeacherConfig(), long=True)
def teacher(config: TeacherConfig) -> None:
    """Train a teacher."""
    from kdflow.experiments.commands import run_teacher

    run_teacher(config)


@_command(StudentConfig(), long=True)
def student(config: StudentConfig) -> None:
    """Train a student on alpha * labels + (1 - alpha) * teacher."""
    from kdflow.experiments.commands import run_student

    run_student(config)


@_command(CohortConfig(), long=True)
def cohort(config: CohortConfig) -> None:
    """Train students of one seed side by side, on the same batches and one forward of the teacher."""
    from kdflow.experiments.commands import run_cohort

    run_cohort(config)


@_command(CompareConfig(), long=True)
def compare(config: CompareConfig) -> None:
    """Compare finished runs: table, loss curves, accuracies."""
    from kdflow.experiments.commands import run_compare

    run_compare(config)


@_command(ReportConfig(), long=True)
def report(config: ReportConfig) -> None:
    """Report on finished runs: one page with the answer, its intervals, figures and how it was made."""
    from kdflow.experiments.report import run_report

    run_report(config)


@_command(
    PredictConfig(),
    click.Argument(["model"], metavar="MODEL"),
    click.Argument(["images"], metavar="IMAGE...", nargs=-1, required=True, type=click.Path()),
)
def predict(model: str, images: Sequence[str], config: PredictConfig) -> None:
    """Show what MODEL takes each IMAGE for.

    MODEL is a run id or its beginning, models:/name (its champion), models:/name/version or @alias, a folder of
    weights, or an .onnx file. IMAGE is a file of any size and format that Pillow reads, or a folder of them.
    """
    from kdflow.experiments.predict import run_predict, show

    show(run_predict(model, images, config), as_json=config.json)


@_command(ExportConfig(), click.Argument(["model"], metavar="MODEL"))
def export(model: str, config: ExportConfig) -> None:
    """Write MODEL to a file that runs without kdflow: raw images in, probabilities out.

    MODEL is a run id or its beginning, models:/name (its champion), models:/name/version or @alias, or a folder of
    weights.
    """
    from kdflow.experiments.export import run_export

    run_export(model, config)


@_command(SyncConfig())
def sync(config: SyncConfig) -> None:
    """Tell the MLflow store what it missed while it could not be used."""
    from kdflow.experiments.sync import run_sync

    run_sync(config)


@_command(DoctorConfig())
def doctor(config: DoctorConfig) -> None:
    """Close runs of dead processes; list what can go on."""
    from kdflow.experiments.doctor import run_doctor

    run_doctor(config)


def _list() -> None:
    """Show data sets, models and distillers with their knobs."""
    from kdflow.experiments.catalogue import print_catalogue

    print_catalogue()


_add(_list, "list")
