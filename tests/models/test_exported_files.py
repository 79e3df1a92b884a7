"""Exported files: what onnxruntime, or torch alone, makes of raw images is what the model makes of them."""

import importlib.util
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kdflow import models
from kdflow.common.errors import KdflowError, UsageError
from kdflow.models import onnx_program
from kdflow.models.export import Probabilities, Servable, example, require_equal
from kdflow.models.onnx_program import OnnxProgram, read_onnx, to_onnx
from kdflow.models.pt2 import CARD, to_pt2

MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.1)
FACTS = {"classes": ["red", "grün", "a b", "="], "data": "colours", "model": "tiny"}

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in onnx_program.PACKAGES),
    reason="the extra kdflow[onnx] is not installed",
)


def of(network: nn.Module) -> Probabilities:
    return Probabilities(network, MEAN, STD)


def test_without_checks_it_gives_the_same_to_the_last_bit(tiny: Callable[..., nn.Module]) -> None:
    network = tiny(0)
    assert torch.equal(of(network)(example(7)), Servable(network, MEAN, STD)(example(7)))


def test_a_program_that_differs_is_refused(tiny: Callable[..., nn.Module]) -> None:
    model = of(tiny(0))

    def off(by: float) -> Callable[[Tensor], Tensor]:
        return lambda images: model(images) + by

    require_equal(off(5e-6), model)
    for by in (1e-4, float("nan")):
        with pytest.raises(KdflowError, match="gives other probabilities"):
            require_equal(off(by), model)


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("name", ["small-cnn", "alexnet"])
def test_onnxruntime_gives_the_probabilities_of_the_model_for_any_number_of_images(name: str) -> None:
    import onnxruntime

    model = of(models.build(name, 4, seed=0))
    content = to_onnx(model, FACTS)
    session = onnxruntime.InferenceSession(content)
    (takes,), (gives,) = session.get_inputs(), session.get_outputs()
    assert (takes.name, takes.type, takes.shape[1:]) == ("images", "tensor(uint8)", [32, 32, 3])
    assert (gives.name, gives.type, gives.shape[1:]) == ("probabilities", "tensor(float)", [4])
    for count in (1, 2, 7):
        (found,) = session.run(None, {"images": example(count).numpy()})
        np.testing.assert_allclose(found, model(example(count)).numpy(), atol=1e-5)
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["classes"]) == FACTS["classes"]
    assert (told["data"], told["model"]) == ("colours", "tiny")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, tiny: Callable[..., nn.Module]) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "a.onnx"
    path.write_bytes(to_onnx(of(tiny(0)), FACTS))
    return path


@needs_onnx
class TestOnnxFiles:
    def test_it_knows_its_classes_and_gives_the_probabilities_of_the_model(
        self, file: Path, tiny: Callable[..., nn.Module]
    ) -> None:
        program = read_onnx(file)
        assert list(program.classes) == FACTS["classes"]
        expected = of(tiny(0))(example(5)).numpy()
        np.testing.assert_allclose(program(example(5).numpy()), expected, atol=1e-5)

    def test_what_is_no_export_of_kdflow_is_refused(self, file: Path) -> None:
        import onnx

        for content in (b"", b"no model", file.read_bytes()[:-100]):
            with pytest.raises(KdflowError, match="no ONNX model that can be read"):
                OnnxProgram(content)
        other = onnx.load(file)
        del other.metadata_props[:]
        with pytest.raises(KdflowError, match="does not say its classes"):
            OnnxProgram(other.SerializeToString())
        onnx.helper.set_model_props(other, {"classes": '["one"]'})
        with pytest.raises(KdflowError, match="does not take raw images to probabilities"):
            OnnxProgram(other.SerializeToString())

    def test_a_file_that_is_gone_is_one_line(self, tmp_path: Path) -> None:
        with pytest.raises(KdflowError, match="cannot be read: No such file"):
            read_onnx(tmp_path / "absent.onnx")


def test_that_the_extra_is_missing_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_program, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"onnx and onnxscript and onnxruntime: pip install 'kdflow\[onnx\]'"):
        onnx_program.require_onnx()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["small-cnn", "alexnet"])
def test_an_exported_program_gives_the_probabilities_of_the_model_and_refuses_floats(name: str) -> None:
    model = Servable(models.build(name, 4, seed=0), MEAN, STD)
    told = {CARD: ""}
    program = torch.export.load(io.BytesIO(to_pt2(model, FACTS)), extra_files=told).module()
    assert json.loads(told[CARD]) == FACTS
    with torch.no_grad():
        for count in (1, 2, 7):
            torch.testing.assert_close(program(example(count)), model(example(count)))
        with pytest.raises(RuntimeError, match="floats, such as pixels scaled to"):
            program(example(2) / 255)
