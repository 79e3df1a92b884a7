"""MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING: the load of the machine is logged by epoch, and harms nothing.

Not covered: NVIDIA GPUs.
"""

import sys

import pytest

from kdflow.experiments.commands import run_student
from tests.experiments.conftest import student_config

ASKED = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"
CPU, MEMORY = "system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"


@pytest.fixture
def logged(small_data, tmp_path):
    """`logged()`: metrics of a student of two epochs, each with its steps and values."""
    from mlflow import MlflowClient

    def train(**values):
        run_id = run_student(student_config(alpha=1, runs_dir=str(tmp_path), **values)).run_id
        client = MlflowClient()
        names = client.get_run(run_id).data.metrics
        return {name: {one.step: one.value for one in client.get_metric_history(run_id, name)} for name in names}

    return train


def test_the_load_of_the_machine_is_logged_by_epoch_where_it_is_asked_for(logged, monkeypatch):
    monkeypatch.setenv(ASKED, "true")
    metrics = logged()
    assert set(metrics[CPU]) == set(metrics[MEMORY]) == {1, 2}
    assert all(value > 0 for value in metrics[MEMORY].values())


def test_it_is_not_logged_unasked(logged):
    assert not any(name.startswith("system/") for name in logged())


@pytest.mark.fault
def test_without_psutil_one_line_says_so_and_all_else_is_logged(logged, monkeypatch, capsys, record_property):
    monkeypatch.setenv(ASKED, "true")
    for name in [one for one in sys.modules if one.startswith("mlflow.system_metrics.metrics.")]:
        if not name.endswith("base_metrics_monitor"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psutil", None)
    record_property("faults", 1)
    metrics = logged()
    assert set(metrics["train/loss"]) == {1, 2}
    assert not any(name.startswith("system/") for name in metrics)
    assert capsys.readouterr().out.count("no system metrics are logged") == 1


@pytest.mark.fault
def test_a_system_that_does_not_tell_is_asked_no_more(logged, monkeypatch, capsys, record_property):
    import psutil

    monkeypatch.setenv(ASKED, "true")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: 1 / 0)
    record_property("faults", 1)
    metrics = logged()
    assert set(metrics["train/loss"]) == {1, 2}
    assert capsys.readouterr().out.count("system metrics are no longer logged: division by zero") == 1
