"""The command line: options from the configs, one call into `study`, errors as one line and an exit code."""

import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

from kdflow import __version__, process
from kdflow.config import (
    CompareConfig,
    StudentConfig,
    StudyConfig,
    TeacherConfig,
    configure,
    options,
)
from kdflow.errors import KdflowError
from kdflow.options import Option, flag, show

EPILOG = (
    "Exit codes: 0 done, 1 run failed, 2 wrong option, 3 data or teacher invalid, 4 tracking, 130 Ctrl-C, 143 SIGTERM."
)


def main() -> NoReturn:
    """Runs the command line and ends the process with the documented exit code."""
    process.prepare()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        kdflow.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except KdflowError as error:
        if "--debug" in sys.argv:
            raise
        _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted", 128 + signal.SIGINT)
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


@kdflow.command(name="list")
def list_() -> None:
    """Show data sets, models and distillers with their knobs."""
    from kdflow.catalogue import print_catalogue

    print_catalogue()


def _fail(message: str, code: int) -> NoReturn:
    print(f"kdflow: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)
