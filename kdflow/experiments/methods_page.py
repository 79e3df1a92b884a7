"""docs/methods.md: every distiller with its paper, its formula and its settings, as the registry has them."""

import re
import sys
from pathlib import Path

from kdflow.config.option import show
from kdflow.distillers import Distiller, distillers

PAGE = Path("docs/methods.md")
FAMILIES = {
    "response": "Response: what the teacher answers",
    "relation": "Relation: how images lie to each other",
    "feature": "Feature: what the teacher sees on the way",
}
HEAD = """# Methods

    loss = alpha * cross-entropy(student, labels) + (1 - alpha) * distillation(student, teacher)

alpha weighs the **labels**: alpha = 1 is ordinary training and loads no teacher; at alpha = 0 no label is read, but by
methods that say so below. The distillation term is chosen by `--distiller`, its settings by `--temperature` and
`--knobs name=value,name=value`. This page is made from the code: `make methods`.
"""


def write(project: Path = Path()) -> None:
    """Writes the page anew, for `make methods`."""
    (project / PAGE).write_text(page(), encoding="utf-8")


def page() -> str:
    """The page."""
    parts = [HEAD]
    for family, heading in FAMILIES.items():
        if names := [name for name in distillers if family in distillers[name].__module__.split(".")]:
            parts += [f"## {heading}\n", *(_method(name, distillers[name]) for name in sorted(names))]
    return "\n".join(parts)


def _method(name: str, kind: type[Distiller]) -> str:
    about, _, more = (kind.__doc__ or "").strip().partition("\n\n")
    source = re.search(r"Source: (.+?)(?:\n\n|\Z)", sys.modules[kind.__module__].__doc__ or "", re.DOTALL)
    seen = f"looks at {_words(kind.student_taps)} of the student and {_words(kind.teacher_taps)} of the teacher"
    labels = "reads labels, at alpha = 0 too" if kind.reads_labels else "reads no labels"
    lines = [
        f"### {name}\n",
        " ".join(about.split()) + "\n",
        *([" ".join(more.split()) + "\n"] if more else []),
        f"    {kind.formula}\n",
        f"It {seen}, and {labels}. Source: {' '.join(source[1].split()) if source else 'none'}\n",
    ]
    if settings := kind.settings():
        lines += ["| setting | default | values | what it is |", "|---|---|---|---|"]
        lines += [f"| {one} | {show(spec.default)} | {spec.allowed} | {spec.help} |" for one, spec in settings.items()]
        lines.append("")
    return "\n".join(lines)


def _words(taps: tuple[str, ...]) -> str:
    return " and ".join(f"the {tap}" if tap.isalpha() else f"`{tap}`" for tap in taps)
