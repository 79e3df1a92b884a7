"""Signals wait for a good moment, but never twice. How commands end on them is `tests/faults/test_kills.py`'s."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from kdflow.common import signals
from kdflow.common.signals import Stopped, check, patient

pytestmark = pytest.mark.fault


@pytest.fixture(autouse=True)
def listening(monkeypatch):
    """The handlers of the command line, for the time of a test."""
    monkeypatch.setattr(signals, "_noted", None)
    monkeypatch.setattr(signals, "_due", False)
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    signals.listen()
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_raises_at_once_where_nobody_is_patient(signum, code):
    with pytest.raises(Stopped, match=f"stopped by {signum.name}") as stopped:
        signal.raise_signal(signum)
    assert stopped.value.exit_code == code


def test_a_stop_is_no_failure_that_could_be_lived_with():
    assert not issubclass(Stopped, Exception)


def stopped(steps: Iterator[str]) -> list[str]:
    """The steps that a piece of work got to before it was stopped."""
    done: list[str] = []
    with pytest.raises(Stopped):
        done.extend(iter(steps.__next__, None))
    return done


def test_where_one_is_patient_a_signal_waits_for_the_next_check():
    def work():
        with patient():
            signal.raise_signal(signal.SIGTERM)
            yield "batch"
            check()
            yield "another batch"

    assert stopped(work()) == ["batch"]


def test_it_waits_for_the_end_where_there_is_no_check():
    def work():
        with patient():
            signal.raise_signal(signal.SIGINT)
            yield "inside"
        yield "after"

    assert stopped(work()) == ["inside"]


def test_what_is_done_on_the_way_out_is_not_stopped_again():
    with patient():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped):
            check()
    with patient():
        check()


def test_patience_within_patience_ends_with_the_outer_one():
    def work():
        with patient():
            with patient():
                signal.raise_signal(signal.SIGTERM)
            yield "between"
            with patient():
                yield "within"
            yield "at the end"
        yield "after"

    assert stopped(work()) == ["between", "within", "at the end"]


def test_sigterm_after_ctrl_c_is_the_same_wish_once_more():
    def work():
        with patient():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            yield "batch"

    assert stopped(work()) == ["batch"]


def test_a_failure_while_a_signal_waits_is_told_as_the_failure():
    def fail():
        with patient():
            signal.raise_signal(signal.SIGTERM)
            raise ValueError("something else")

    with pytest.raises(ValueError, match="something else"):
        fail()
    with pytest.raises(Stopped):
        check()


def test_without_a_signal_nothing_happens():
    with patient():
        check()
    check()


@pytest.mark.parametrize("first", ["SIGINT", "SIGTERM"])
def test_a_second_ctrl_c_ends_the_process_whatever_it_does(first):
    code = "import signal\nfrom kdflow.common import signals\nsignals.listen()\nwith signals.patient():\n"
    code += (
        f" signal.raise_signal(signal.{first})\n print('patient', flush=True)\n signal.raise_signal(signal.SIGINT)\n"
    )
    code += " print('never')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (130, "patient\n")
    assert done.stderr.strip() == "kdflow: stopping after this batch; a second Ctrl-C stops at once"
