"""The HTML page of a comparison: complete, self-contained, and inert whatever names it shows.

How it looks is not covered; that a browser obeys the page's own policy neither.
"""

import base64
from html.parser import HTMLParser

from kdflow.reports.html_page import page

from kdflow.common.text import plain
from kdflow.reports import formats
from tests.comparisons import EMPTY, STUDY
from tests.reports.test_escaping import for_names, named

OURS = {"html", "head", "meta", "title", "style", "body", "h1", "div", "table", "thead", "tbody", "tr", "th", "td"}
OURS |= {"p", "ul", "li", "img"}
FIGURE = b"\x89PNG figure"


class Read(HTMLParser):
    """What a browser makes of a page: its tags, their attributes, and the text of each tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: dict[str, list[str]] = {}
        self._within = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self._within = tag
        self.texts.setdefault(tag, []).append("")

    def handle_data(self, data):
        self.texts.setdefault(self._within, [""])[-1] += data

    def handle_endtag(self, tag):
        self._within = "body"


def test_the_page_holds_table_footnotes_and_figures() -> None:
    read = Read(page(STUDY, {"Loss curves": FIGURE}))
    assert read.texts["h1"] == ["Accuracy on cifar10"]
    assert read.tags.count("tr") == 1 + len(STUDY.rows)
    assert "71.63" in read.texts["td"]
    assert read.texts["li"] == ["One left out."]
    assert ("alt", "Loss curves") in read.attributes
    [source] = [value for name, value in read.attributes if name == "src"]
    assert base64.b64decode(source.removeprefix("data:image/png;base64,")) == FIGURE


def test_a_comparison_of_nothing_is_a_page_too() -> None:
    assert Read(page(EMPTY, {})).tags.count("tr") == 1


@for_names()
def test_a_name_brings_no_tag_attribute_or_address_into_the_page(name: str) -> None:
    comparison = named(name)
    text = page(comparison, {name: FIGURE})
    text.encode()
    read, shown = Read(text), formats.columns(comparison.runs)
    assert set(read.tags) <= OURS
    assert read.tags.count("td") == len(shown) * len(comparison.rows)
    assert [read.tags.count(tag) for tag in ("tr", "li", "img")] == [1 + len(comparison.rows), 2, 1]
    assert {key for key, _ in read.attributes} <= {
        "lang",
        "charset",
        "http-equiv",
        "content",
        "name",
        "class",
        "alt",
        "src",
    }
    assert [value for key, value in read.attributes if key == "alt"] == [plain(name)]
    assert read.texts["td"] == [plain(cell) for cells in zip(*shown.values(), strict=True) for cell in cells]
    assert read.texts["li"] == [plain(name)] * 2
