"""What a command says about its options: help in groups, the kind of each value, suggestions, completion in a shell."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from kdflow.common.suggestions import close, variants
from kdflow.config.option import Option, flag, show
from kdflow.experiments import catalogue


def debug_flag() -> click.Option:
    """Stands before or after the name of any command; `kdflow.ending` reads it from the whole line."""
    return click.Option(["--debug"], is_flag=True, expose_value=False, help="Show where an error comes from.")


def quiet_flag() -> click.Option:
    """Stands after the name of a command that takes its time; `kdflow.cli` reads it from the whole line."""
    text = "Say only warnings, errors, which teacher, the final table and where the results are."
    return click.Option(["--quiet"], is_flag=True, expose_value=False, help=text)


class Described(click.Option):
    """An option of a config as the command line shows it; the config reads and checks its text.

    Args:
        name: Flat name, such as "teacher_epochs".
        spec: What it may be.
        alone: Whether `--json` takes no value, as what follows is an argument of the command.
    """

    def __init__(self, name: str, spec: Option, *, alone: bool = False) -> None:
        # What makes `--deterministic` mean `--deterministic true`; other options need their value.
        bare: dict[str, Any] = {"is_flag": alone, "flag_value": "true"} if isinstance(spec.default, bool) else {}
        super().__init__(
            [flag(name), name], metavar=spec.kind, help=_describe(spec), shell_complete=_completion(name, spec), **bare
        )
        self.group = spec.group


class FileOption(click.Option):
    """`--config`: a file of options, which is of the command line alone."""

    def __init__(self) -> None:
        super().__init__(
            ["--config", "config_file"],
            metavar="PATH",
            help="Take options from this YAML file, such as the config.yaml of a run; what is typed goes before.",
            shell_complete=lambda ctx, param, begun: [CompletionItem(begun, type="file")],
        )


class Command(click.Command):
    """A command whose help has the options in groups.

    Args:
        extra: Options of the command line alone, beside those of the config.
        elsewhere: Gives the commands and their options, to find one that this command does not have.
    """

    def __init__(
        self,
        *args: Any,
        extra: Sequence[click.Option] = (),
        elsewhere: Callable[[], Mapping[str, Collection[str]]] = dict,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._extra = [*extra, debug_flag()]
        self._elsewhere = elsewhere

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Those of the config, those of the command line alone, and `--help`."""
        own = super().get_params(ctx)
        return [*own[: len(self.params)], *self._extra, *own[len(self.params) :]]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, but for what is said of an option that there is not."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            said = f"No such option {error.option_name}{self._hint(error)}"
            raise click.NoSuchOption(error.option_name, said) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One section a group, in the order of the config."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record and isinstance(param, click.Option):
                sections.setdefault(getattr(param, "group", "") or "other", []).append(record)
        for group, records in sections.items():
            with formatter.section(group.capitalize()):
                formatter.write_dl(records)

    def _hint(self, error: click.NoSuchOption) -> str:
        name = error.option_name.lstrip("-").replace("-", "_")
        own = [str(param.name) for param in self.params]
        others = [f"kdflow {command}" for command, names in self._elsewhere().items() if name in names]
        if near := variants(name, own, command=str(self.name)):
            return f": did you mean {' or '.join(map(flag, near))}?"
        if others:
            return f": it is one of {' and '.join(others)}"
        if near := close(name, [*own, *(param.opts[0].lstrip("-") for param in self._extra)]):
            return f": did you mean {flag(near[0])}?"
        return f"; `kdflow {self.name} --help` lists them"


def _describe(spec: Option) -> str:
    said = spec.allowed == "a text" or spec.choices or isinstance(spec.default, bool)  # the kind says it already
    allowed = "" if said else f"{spec.allowed}; "
    return f"{spec.help}  [{allowed}default {show(spec.default) or 'empty'}]"


def _completion(name: str, spec: Option) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """What a shell offers for the value; names come from the kept catalogue, since it has to be quick."""

    def complete(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
        known = spec.choices or (("true", "false") if isinstance(spec.default, bool) else ())
        names = [*known, *(catalogue.kept() or {}).get(name.removeprefix("teacher_").removeprefix("student_"), ())]
        found = [CompletionItem(one) for one in names if one.startswith(begun)]
        return found + [CompletionItem(begun, type="dir")] * ("PATH" in spec.metavar)

    return complete
