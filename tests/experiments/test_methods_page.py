"""docs/methods.md says what the registry says."""

from pathlib import Path

import pytest

from kdflow.distillers import distillers
from kdflow.experiments.methods_page import PAGE, page

ROOT = Path(__file__).parents[2]


def test_the_page_is_as_the_registry_makes_it() -> None:
    assert (ROOT / PAGE).read_text(encoding="utf-8") == page(), "stale: run `make methods`"


@pytest.mark.parametrize("name", list(distillers))
def test_each_method_has_paper_formula_and_settings(name: str) -> None:
    _, _, part = page().partition(f"### {name}\n")
    part, _, _ = part.partition("\n### ")
    assert distillers[name].formula
    assert f"    {distillers[name].formula}\n" in part
    assert "arXiv" in part
    for setting, spec in distillers[name].settings().items():
        assert f"| {setting} | {spec.default:g} |" in part
