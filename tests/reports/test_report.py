"""The page of an answer: complete, self-contained, and inert whatever names it shows.

How it looks is not covered: open it and look. That a browser obeys the page's own policy is not either.
"""

import re
from dataclasses import replace

import pytest

from kdflow.analysis.answer import Answer, Provenance
from kdflow.analysis.cells import columns
from kdflow.common.text import plain
from kdflow.reports import formats
from kdflow.reports.gains import forest
from kdflow.reports.inline_svg import DARK, LIGHT, contrast, inlined, palette
from kdflow.reports.notebook import Inline
from kdflow.reports.report import POLICY, TITLES, figures, html
from kdflow.reports.styles import ALPHA_COLOURS
from tests.analysis.made import NAMES
from tests.comparisons import EMPTY, GRID, LABELS_ONLY, STUDY, printed, with_rows
from tests.reports.made_answer import made_answer
from tests.reports.reading import ADDRESSES, Read
from tests.reports.test_escaping import HOSTILE, for_names, named

OURS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "div", "table", "thead", "tbody", "tr", "th"}
OURS |= {"td", "p", "ul", "ol", "li", "header", "nav", "main", "section", "a", "span"}
DRAWN = {"figure", "figcaption", "svg", "g", "path", "defs", "use", "text", "clippath", "rect", "tspan"}
SECTIONS = [
    "result",
    "gains",
    "accuracies",
    "learning",
    "losses",
    "fidelity",
    "calibration",
    "cost",
    "classes",
    "partings",
    "making",
    "runs",
    "notes",
]
HEADINGS = r'<section id="(\w+)">'


@pytest.fixture(scope="module")
def answer() -> Answer:
    return made_answer(arms=4, seeds=3)


@pytest.fixture(scope="module")
def page(answer: Answer) -> str:
    return html(answer)


def test_the_sections_stand_in_their_order_and_the_contents_lead_to_each(answer: Answer, page: str) -> None:
    assert re.findall(HEADINGS, page) == SECTIONS
    assert [value for value in Read(page).values("href") if value[1:] in SECTIONS] == [f"#{key}" for key in SECTIONS]
    assert Read(page).texts["h1"] == [answer.sentence]


def test_every_figure_is_there_with_a_name_of_its_own_and_words_for_who_cannot_see_it(page: str) -> None:
    read = Read(page)
    assert read.tags.count("svg") == len(TITLES) == read.values("role").count("img")
    assert set(TITLES.values()) <= set(read.texts["title"])
    names = read.values("id")
    assert len(names) == len(set(names))
    assert set(read.values("aria-labelledby")) <= set(names)
    pointed = [value[1:] for value in read.values("href") if value.startswith("#")]
    pointed += re.findall(r"url\(#([^)]+)\)", page)
    assert set(pointed) <= set(names)


def test_every_image_says_what_it_is(page: str) -> None:
    read = Read(page)
    assert read.tags.count("img") == 24
    assert read.values("alt")[:2] == ["test image 0, airplane", "test image 41, automobile"]


def test_nothing_runs_and_nothing_is_fetched(page: str) -> None:
    read = Read(page)
    assert set(read.tags) <= OURS | DRAWN | {"img", "b", "dl", "dt", "dd"}
    assert not [key for key, _ in read.attributes if key.startswith("on")]
    assert POLICY in read.values("content")
    fetched = [value for key, value in read.attributes if key in ADDRESSES and not (value or "").startswith("#")]
    assert {value.partition(",")[0] for value in fetched if value} == {"data:image/png;base64"} | set(links(page))
    assert not re.search(r"@import|url\((?!#)", page)


def links(page: str) -> list[str]:
    return re.findall(r'<a href="(http[^"]+)" rel="noopener noreferrer">', page)


def test_every_run_leads_to_its_page_where_a_server_is_known(answer: Answer, page: str) -> None:
    assert links(page) == [answer.provenance.links[run_id] for run_id in answer.comparison.runs["run_id"]]


def test_an_address_that_is_none_is_no_link(answer: Answer) -> None:
    run_id = answer.comparison.runs["run_id"][0]
    made = Provenance(links={run_id: "javascript:alert(1)", "study": "data:text/html,x", "other": "https://a/b"})
    assert links(html(replace(answer, provenance=made), {})) == ["https://a/b"]


def test_tables_tell_lines_and_columns_from_cells(answer: Answer, page: str) -> None:
    read = Read(page)
    assert read.values("scope").count("row") == page.count("</tr>") - page.count("<thead>")
    assert read.tags.count("th") == len(read.values("scope"))
    assert set(read.values("data-heading")) >= {"gain", "interval", "verdict"}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_names_of_classes_settings_and_facts_are_mere_text(name: str) -> None:
    made = made_answer(arms=3, seeds=2, classes=3)
    rows = [replace(row, settings=name, model=name) for row in made.comparison.rows]
    hostile = replace(
        made,
        comparison=with_rows(made.comparison, rows, dataset=name, footnotes=(name,)),
        sentence=name,
        notes=(name,),
        class_accuracy=made.class_accuracy.astype(object).replace("airplane", name),
        partings=tuple(replace(one, label=name, teacher=name, student=name) for one in made.partings),
        provenance=Provenance({name: name}, {name: name}),
    )
    text = html(hostile, {"gains": formats.svg(forest(hostile))})
    text.encode()
    read = Read(text)
    assert set(read.tags) <= OURS | DRAWN | {"img", "b", "dl", "dt", "dd"}
    assert read.texts["dd"] == [plain(name)]
    assert read.texts["dt"] == [plain(name)]
    assert links(text) == []
    assert "<script" not in formats.json_text(hostile)


@for_names()
def test_a_name_brings_no_tag_attribute_or_address_into_the_page(name: str) -> None:
    comparison = named(name)
    text = html(Answer.of(comparison), {})
    text.encode()
    read, shown = Read(text), columns(comparison.runs)
    assert set(read.tags) <= OURS
    assert read.tags.count("tr") == 2 * (1 + len(comparison.rows))
    keys = {"lang", "charset", "http-equiv", "content", "name", "class", "id", "href", "scope", "tabindex", "role"}
    assert {key for key, _ in read.attributes} <= keys | {"aria-label", "aria-labelledby", "data-heading"}
    runs = read.texts["td"][-len(comparison.rows) * (len(shown) - 1) :]
    cells = list(zip(*shown.values(), strict=True))
    assert runs == [plain(cell) for line in cells for cell in line[1:]]
    assert read.texts["li"][-2:] == [plain(name)] * 2


def test_a_study_of_twelve_arms_and_ten_seeds_stays_below_five_megabytes() -> None:
    assert len(html(made_answer(arms=12, seeds=10, outlier=True)).encode()) < 5_000_000


def test_without_predictions_what_rests_on_them_says_so_or_is_left_out() -> None:
    text = html(Answer.of(GRID))
    found = re.findall(HEADINGS, text)
    assert found == [key for key in SECTIONS if key not in ("gains", "classes", "partings", "making")]
    assert text.count("The runs kept no predictions of which this could be reckoned.") == 2


@pytest.mark.parametrize("comparison", [EMPTY, with_rows(STUDY, (LABELS_ONLY,)), STUDY], ids=["none", "one", "study"])
def test_few_runs_are_a_page_too(comparison) -> None:
    read = Read(html(Answer.of(comparison)))
    assert read.texts["h1"] == ["Accuracy on cifar10"]


def test_one_seed_has_gains_without_intervals() -> None:
    made = made_answer(arms=3, seeds=1)
    text = html(made)
    assert "one seed; it says nothing about alpha" in Read(text).texts["td"]
    assert "one pair: no interval" in text
    assert "interval" not in made.cells


def test_figures_are_the_same_bytes_each_time_and_hold_no_date(answer: Answer, page: str) -> None:
    ours, theirs = figures(answer), figures(answer)
    assert set(ours) == set(TITLES)
    for name in ("gains", "cost"):
        for save in (formats.svg, formats.pdf):
            assert save(ours[name]) == save(theirs[name])
        assert b"date" not in formats.svg(ours[name]).lower()
        assert b"CreationDate" not in formats.pdf(ours[name])
    assert html(answer) == page


def test_colours_of_figures_are_seen_on_light_and_dark_paper(answer: Answer) -> None:
    drawn = inlined(formats.svg(figures(answer)["gains"]), name="a", title="a")
    for paper in (LIGHT, DARK):
        shown = palette(drawn, paper=paper)
        for colour in ALPHA_COLOURS:
            if f"--c{colour[1:]}" in shown:
                assert contrast(shown[f"--c{colour[1:]}"], paper) >= 3
    assert "#000000" not in drawn


def test_many_classes_show_those_that_gain_and_lose_most_and_what_is_confused() -> None:
    text = html(made_answer(arms=3, seeds=2, classes=100), {})
    assert "70 classes between the most and the least are left out" in text
    assert "taken for" in Read(text).texts["span"]


def test_a_notebook_shows_sentence_table_and_forest_plot(answer: Answer) -> None:
    read = Read(Inline(**vars(answer))._repr_html_())
    assert read.texts["b"] == [answer.sentence]
    assert read.tags.count("tr") == 1 + len(answer.comparison.arms)
    assert read.tags.count("svg") == 1


def test_markdown_tells_the_sentence_gains_and_verdicts(answer: Answer) -> None:
    text = formats.markdown(answer)
    assert text.startswith(formats.markdown_escaped(answer.sentence))
    assert "| gain | interval | verdict |" in text
    assert "**Fidelity to the teacher, on test images.**" in text


def test_the_csv_of_arms_has_a_line_an_arm_with_its_effect_and_measures(answer: Answer) -> None:
    import csv
    import io

    lines = list(csv.DictReader(io.StringIO(formats.arms_csv(answer))))
    assert len(lines) == len(answer.comparison.arms)
    for effect in answer.effects:
        line = lines[effect.arm]
        assert float(line["gain"]) == effect.mean
        assert (float(line["gain_low"]), float(line["gain_high"])) == effect.interval
        assert line["verdict"] == effect.verdict
        assert float(line["teacher_agreement_mean"]) == answer.arm_measures["teacher_agreement_mean"][effect.arm]
    assert lines[0]["gain"] == ""


def test_json_holds_effects_measures_and_classes(answer: Answer) -> None:
    import json

    told = json.loads(formats.json_text(answer))["answer"]
    assert [effect["mean"] for effect in told["effects"]] == [effect.mean for effect in answer.effects]
    assert len(told["measures"]) == len(answer.comparison.runs)
    assert {line["class"] for line in told["class_accuracy"]} == set(NAMES)
    assert "image" not in told["partings"][0]


def test_no_bound_of_an_interval_loses_its_sign_in_rounding() -> None:
    from kdflow.analysis.cells import interval_words

    assert interval_words((0.00002, 0.012)) == "+0.002 to +1.20"
    assert interval_words((-0.00001, 0.0)) == "-0.001 to +0.00"


def test_the_terminal_says_the_sentence_above_the_table(answer: Answer) -> None:
    text = printed(answer)
    assert text.strip().startswith(answer.sentence[:40])
    assert " ".join(text.split()).count("verdict") == 1


def test_of_very_many_runs_the_page_shows_the_first_and_says_where_all_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdflow.reports.tables.MOST_RUNS", 3)
    made = made_answer(arms=2, seeds=5)
    assert f"The first 3 of {len(made.comparison.runs)}; comparison.csv has all." in html(made)
