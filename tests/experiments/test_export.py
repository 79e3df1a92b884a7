"""Exporting a trained student: a file that is whole or not there, and what it says of itself."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import kdflow as package
from kdflow.models import onnx_program
from kdflow.models.export import example
from kdflow.tracking.store_runs import StoreRuns

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in onnx_program.PACKAGES),
    reason="the extra kdflow[onnx] is not installed",
)


@pytest.fixture(scope="module")
def student_id(study):
    return study.rows[2].run_id


@pytest.fixture(scope="module")
def expected(student_id):
    """Probabilities of the registered model."""
    import mlflow

    model = mlflow.pyfunc.load_model(StoreRuns().address(student_id), model_config={"device": "cpu"})
    return model.predict(example(7).numpy())


@needs_onnx
def test_an_onnx_file_gives_the_probabilities_of_the_registered_model_and_predicts(
    student_id, expected, tmp_path, kdflow
):
    import onnxruntime
    from PIL import Image

    path = tmp_path / "student.onnx"
    said = kdflow("export", student_id, "--output", str(path))
    assert said.line == (0, "")
    assert f"model: {StoreRuns().address(student_id)} (run {student_id}" in said.out
    assert "raw images uint8 [N, 32, 32, 3] in, probabilities of 10 classes out" in said.out
    session = onnxruntime.InferenceSession(path)
    for count in (1, 2, 7):
        (found,) = session.run(None, {"images": example(7)[:count].numpy()})
        np.testing.assert_allclose(found, expected[:count], atol=1e-5)
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["classes"]) == [str(digit) for digit in range(10)]
    assert (told["role"], told["model"], told["data"]) == ("student", "small-cnn", "digits")
    Image.fromarray(example(1)[0].numpy()).save(tmp_path / "a.png")
    said = kdflow("predict", str(path), str(tmp_path / "a.png"), "--json")
    assert said.line == (0, "")
    (best,) = json.loads(said.out)[0]["predictions"]
    assert best == {"class": str(expected[0].argmax()), "probability": pytest.approx(expected[0].max(), abs=1e-5)}


def test_without_a_name_a_file_is_named_after_network_and_weights(student_id, tmp_path, kdflow, monkeypatch):
    import torch

    store = Path.cwd() / "runs"
    monkeypatch.chdir(tmp_path)
    code, error = kdflow("export", student_id, "--format", "pt2", "--offline", "--runs-dir", str(store)).line
    assert (code, error) == (0, "")
    (file,) = tmp_path.iterdir()
    assert file.match("small-cnn-????????.pt2")
    assert torch.export.load(file).module()(example(1)).shape == (1, 10)


def test_the_missing_extra_is_said_before_any_work(tmp_path, kdflow, monkeypatch):
    monkeypatch.setattr(onnx_program, "find_spec", lambda name: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    code, error = kdflow("export", "models:/kdflow-student-digits").line
    assert code == 2
    assert error.startswith("kdflow: error: ONNX needs onnx and onnxscript and onnxruntime: pip install")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "reason", "expected_code"),
    [(".", "is a folder", 2), ("absent/student.pt2", "there is no folder absent", 2), ("/proc/a.pt2", "written to", 1)],
)
def test_a_place_that_takes_no_file_is_refused_before_any_work(
    tmp_path, kdflow, monkeypatch, output, reason, expected_code
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.chdir(tmp_path)
    code, error = kdflow("export", "models:/kdflow-student-digits", "--format", "pt2", "--output", output).line
    assert (code, error.count("\n")) == (expected_code, 1)
    assert reason in error


def test_what_stood_there_stays_where_the_export_fails(student_id, tmp_path, kdflow, monkeypatch):
    from kdflow.common.errors import KdflowError
    from kdflow.models import pt2

    path = tmp_path / "student.pt2"
    path.write_text("before")

    def differ(*_):
        raise KdflowError("the exported program gives other probabilities")

    monkeypatch.setattr(pt2, "require_equal", differ)
    assert kdflow("export", student_id, "--format", "pt2", "--output", str(path)).code == 1
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_from_python_the_file_is_returned(student_id, tmp_path):
    path = package.export(student_id, format="pt2", output=tmp_path / "a.pt2")
    assert path == tmp_path / "a.pt2"
    assert path.stat().st_size > 100_000
