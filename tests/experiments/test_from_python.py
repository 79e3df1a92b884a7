"""A training begun, stopped and gone on with from Python, as from a notebook."""

import signal

import kdflow
from tests.experiments.conftest import STUDENT
from tests.interruptions import after_epoch, interrupted, kept_run


def test_ctrl_c_in_a_notebook_stops_a_training_and_resume_goes_on(small_data, tmp_path):
    handlers = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    options = STUDENT | {"alpha": 1, "batch_size": 16, "runs_dir": tmp_path, "offline": True}

    def interrupt(*_):
        raise KeyboardInterrupt

    assert interrupted(lambda: kdflow.run_student(**options), after_epoch(1), interrupt).struck
    trained = kdflow.run_student(resume=kept_run(tmp_path), runs_dir=tmp_path, offline=True)
    assert trained.validation == ""
    assert 0 <= trained.scores["final/test_accuracy"] <= 1
    assert trained.address == "", "no store has it yet"
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)] == handlers
