"""What the pages name is there: links, files, tests, and the commands of make and kdflow."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
# The examples of docs/development.md, which tests/test_extension.py makes files of.
EXAMPLES = re.compile(r"`(kdflow/[\w/]+\.py)`[^`]*?:\n\n```python\n")


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / target).exists(), target


@every_page
def test_every_file_that_is_named_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"\b((?:kdflow|tests|benchmarks|docs|docker)/[\w./-]*\w)", text)) - set(
        EXAMPLES.findall(text)
    )
    named.discard("docker/.env")  # the user's own
    for name in named:
        assert (ROOT / name).exists(), name


@every_page
def test_every_target_of_make_is_there(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"(?:^ +|`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@every_page
def test_every_option_that_is_named_is_one(page: Path) -> None:
    from kdflow.cli.main import kdflow

    known = {option for command in kdflow.commands.values() for param in command.params for option in param.opts}
    known |= {"--config", "--quiet", "--debug", "--help"}
    text = page.read_text(encoding="utf-8")
    typed = {
        word for line in re.findall(r"kdflow [a-z]+ (--[^\n`#|]*)", text) for word in re.findall(r"--[a-z-]+", line)
    }
    assert typed <= known, typed - known


def test_the_readme_can_be_read_in_five_minutes() -> None:
    assert len(PAGES[0].read_text(encoding="utf-8").splitlines()) <= 160


@every_page
def test_every_test_that_is_named_is_there(page: Path) -> None:
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text(encoding="utf-8")):
        tests = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^ *def {name}\(", tests, re.MULTILINE), f"{path}::{name}"


def test_every_promise_names_a_test() -> None:
    promised, _, _ = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8").partition("## Not promised")
    for promise in promised.split("\n- ")[1:]:
        assert re.search(r"^  - `tests/[\w/]+\.py::\w+`", promise, re.MULTILINE), promise
