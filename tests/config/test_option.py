"""An option turns text into a value or refuses it in one line. Which options there are is `test_config`'s."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdflow.common.errors import UsageError
from kdflow.config.option import Option, Value, flag, show

NUMBER = Option(4.0, "", low=0.1, high=100)
WHOLE = Option(10, "", low=1, high=10_000)
SWITCH = Option(True, "")
NUMBERS = Option((1.0, 0.0), "", low=0, high=1)
CHOICE = Option("auto", "", choices=("auto", "cpu"))


def refusal(spec: Option, raw: object) -> str:
    with pytest.raises(UsageError) as caught:
        spec.read("--it", raw)
    return str(caught.value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_shown_number_reads_back_as_itself(value: float) -> None:
    assert Option(0.0, "").read("--it", show(value)) == value


@given(st.integers(-(2**31), 2**31))
def test_a_shown_whole_number_reads_back_as_itself(value: int) -> None:
    assert Option(0, "").read("--it", show(value)) == value


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, unique=True).map(tuple))
def test_shown_numbers_read_back_as_themselves(value: tuple[float, ...]) -> None:
    assert Option((0.0,), "").read("--it", show(value)) == value


@given(st.booleans() | st.text())
def test_a_shown_switch_or_text_reads_back_as_itself(value: bool | str) -> None:
    assert Option(value, "").read("--it", show(value)) == value


@given(st.sampled_from([NUMBER, WHOLE, SWITCH, NUMBERS, CHOICE]), st.text() | st.floats() | st.integers() | st.none())
def test_whatever_is_given_is_read_or_refused_in_one_line(spec: Option, raw: object) -> None:
    message, value = "", spec.default
    try:
        value = spec.read("--it", raw)
    except UsageError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1
    assert type(value) is type(spec.default)
    assert spec.read("--it", value) == value


def test_a_text_that_is_no_utf8_is_refused_with_a_remedy() -> None:
    message = refusal(Option("digits", ""), "caf\udce9/")
    assert "--it is 'caf\\udce9/', which is no UTF-8" in message
    assert "link" in message
    assert message.isascii()


@pytest.mark.parametrize("raw", ["nan", "inf", "-inf", "-1", "", "0.09", "100.1", "four", math.nan, None])
def test_a_refusal_names_option_value_range_and_default(raw: object) -> None:
    assert refusal(NUMBER, raw) == f"--it is {str(raw)!r}: give a number from 0.1 to 100 (default 4)"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (WHOLE, "a whole number from 1 to 10000 (default 10)"),
        (SWITCH, "true or false (default true)"),
        (CHOICE, "one of auto, cpu (default auto)"),
        (NUMBERS, "numbers from 0 to 1 separated by commas (default 1,0)"),
        (Option(1.0, "", above=0, high=100), "a number above 0 and up to 100 (default 1)"),
        (Option(1.0, "", above=0), "a number above 0 (default 1)"),
        (Option(1.0, "", low=0), "a number of at least 0 (default 1)"),
    ],
)
def test_a_refusal_gives_the_range_in_words(spec: Option, words: str) -> None:
    assert refusal(spec, "what?").endswith(f"give {words}")


@pytest.mark.parametrize("raw", ["1.5", "1e400", "nan", "0", True])
def test_a_whole_number_is_not_rounded_or_guessed(raw: object) -> None:
    refusal(WHOLE, raw)


@pytest.mark.parametrize(("raw", "value"), [("1e3", 1000), ("7", 7), (7, 7), (7.0, 7)])
def test_a_whole_number_may_be_written_in_several_ways(raw: object, value: int) -> None:
    assert WHOLE.read("--it", raw) == value


@pytest.mark.parametrize(("raw", "value"), [("True", True), ("no", False), ("0", False), (True, True), (False, False)])
def test_a_switch_understands_the_usual_words(raw: object, value: bool) -> None:
    assert SWITCH.read("--it", raw) is value


@pytest.mark.parametrize("raw", ["", ",", "0.5,", "0.5,nan", "0.5,2", (), (0.5, 2.0), ("a",), ("0.5", "b")])
def test_each_of_several_numbers_is_checked(raw: object) -> None:
    assert len(refusal(NUMBERS, raw).splitlines()) == 1


def test_a_number_given_twice_counts_once_and_order_stays() -> None:
    assert NUMBERS.read("--it", "1,0,1.0,0.5") == (1.0, 0.0, 0.5)


def test_a_value_above_a_bound_excludes_the_bound() -> None:
    spec = Option(1.0, "", above=0)
    refusal(spec, 0)
    assert spec.read("--it", 1e-9) == 1e-9


@pytest.mark.parametrize(
    ("value", "text"), [(0.05, "0.05"), (4.0, "4"), (1e-4, "0.0001"), (False, "false"), ((1.0, 0.5), "1,0.5")]
)
def test_what_is_shown_is_as_short_as_a_person_writes_it(value: Value, text: str) -> None:
    assert show(value) == text


@pytest.mark.parametrize("raw", ["nan", "inf", "-inf"])
def test_a_number_without_bounds_is_still_finite(raw: str) -> None:
    refusal(Option(1.0, ""), raw)
    refusal(Option(1.0, "", above=0), raw)


def test_a_flag_is_spelt_with_hyphens() -> None:
    assert flag("teacher_batch_size") == "--teacher-batch-size"
