"""The command line: options from the configs, one call into `study`, errors as one line and an exit code."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import click

from kdflow import __version__, process, stopping
from kdflow.config import (
    CompareConfig,
    StoreConfig,
    StudentConfig,
    StudyConfig,
    SyncConfig,
    TeacherConfig,
    configure,
    options,
)
from kdflow.errors import KdflowError, Problems
from kdflow.options import Option, flag, show
from kdflow.text import plain, redact

EPILOG = (
    "Exit codes: 0 done, 1 run failed, 2 wrong option, 3 data or teacher invalid, 4 tracking, 130 Ctrl-C, 143 SIGTERM."
)


def main() -> NoReturn:
    """Runs the command line and ends the process with the documented exit code."""
    process.prepare()
    stopping.listen()
    try:
        kdflow.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), code=error.exit_code)
    except KdflowError as error:
        if "--debug" in sys.argv:
            print(redact(traceback.format_exc()), file=sys.stderr)
        _fail(*map(_with_notes, _each(error)), code=error.exit_code)
    except stopping.Stopped as stopped:
        _fail(_with_notes(stopped), code=stopped.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted", code=128 + signal.SIGINT)
    sys.exit(0)


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__)
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
def kdflow(debug: bool) -> None:
    """What does a small student gain from a teacher under a restricted number of epochs?"""


def _describe(spec: Option) -> str:
    allowed = "" if spec.allowed == "a text" else f"{spec.allowed}; "
    return f"{spec.help}  [{allowed}default {show(spec.default) or 'empty'}]"


def _bare(spec: Option) -> dict[str, Any]:
    """What makes `--deterministic` mean `--deterministic true`; other options need their value."""
    return {"is_flag": False, "flag_value": "true"} if isinstance(spec.default, bool) else {}


def _command(config: Any) -> Callable[[Callable[[Any], None]], click.Command]:
    """A command with one text option for each option of the config; the config reads and checks the texts."""

    def decorate(run: Callable[[Any], None]) -> click.Command:
        def callback(**texts: str) -> None:
            given = {name: text for name, text in texts.items() if text is not None}
            checked = configure(config, **given)
            if given.get("resume"):
                checked = _stopped_options(run.__name__, config, given)
            from kdflow.tracking import quiet

            quiet()
            run(checked)

        params: list[click.Parameter] = [
            click.Option([flag(name), name], metavar="VALUE", help=_describe(spec), **_bare(spec))
            for name, spec in options(config).items()
        ]
        command = click.Command(run.__name__, callback=callback, params=params, help=run.__doc__)
        kdflow.add_command(command)
        return command

    return decorate


def _stopped_options(kind: str, config: Any, given: dict[str, str]) -> Any:
    """The options of a stopped run. `mlflow run` gives all options, so that its defaults mean that nothing is said."""
    from kdflow.resume import options_of_stopped_run

    if "MLFLOW_RUN_ID" in os.environ:
        given = {name: text for name, text in given.items() if configure(config, **{name: text}) != config}
    return options_of_stopped_run(kind, config, given)


@_command(StudyConfig())
def study(config: StudyConfig) -> None:
    """Train a teacher, then a student for each alpha in one pass, and compare them."""
    from kdflow.study import run_study

    run_study(config)


@_command(TeacherConfig())
def teacher(config: TeacherConfig) -> None:
    """Train a teacher."""
    from kdflow.study import run_teacher

    run_teacher(config)


@_command(StudentConfig())
def student(config: StudentConfig) -> None:
    """Train a student on alpha * labels + (1 - alpha) * teacher."""
    from kdflow.study import run_student

    run_student(config)


@_command(CompareConfig())
def compare(config: CompareConfig) -> None:
    """Compare finished runs: table, loss curves, accuracies."""
    from kdflow.study import run_compare

    run_compare(config)


@_command(SyncConfig())
def sync(config: SyncConfig) -> None:
    """Tell the MLflow store what it missed while it could not be used."""
    from kdflow.upkeep import run_sync

    run_sync(config)


@_command(StoreConfig())
def doctor(config: StoreConfig) -> None:
    """Close runs of dead processes; list what can go on."""
    from kdflow.upkeep import run_doctor

    run_doctor(config)


@kdflow.command(name="list")
def list_() -> None:
    """Show data sets, models and distillers with their knobs."""
    from kdflow.catalogue import print_catalogue

    print_catalogue()


def _each(error: KdflowError) -> tuple[KdflowError, ...]:
    return error.errors if isinstance(error, Problems) else (error,)


def _with_notes(error: BaseException) -> str:
    return "; ".join([str(error), *getattr(error, "__notes__", [])])


def _fail(*messages: str, code: int) -> NoReturn:
    for message in messages:
        print(f"kdflow: error: {plain(message)}", file=sys.stderr)
    sys.exit(code)
