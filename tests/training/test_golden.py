"""A small study computes what it always did: to the last bit where the arithmetic is the same, and else closely.

Data, weights, order, augmentation and dropout follow from seeds, and are the same on every machine. Sums of floats
differ in their last bits between processors and versions of torch, and training makes such differences grow: so hashes
of the final weights are kept for each processor and version, and elsewhere losses are held to `TOLERANCE`.

`python -m tests.training.test_golden` adds the hashes of this machine. The losses may be written anew
(`--losses`) only by a change that is meant to change what is computed, together with `kdflow.training.identity.SCHEMA`.
"""

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kdflow import distillers, models
from kdflow.config import Recipe
from kdflow.data import Dataset
from kdflow.data.base import Split
from kdflow.data.dataset import channel_statistics
from kdflow.device.runtime import Runtime, cpu_name
from kdflow.teachers.frozen import Frozen
from kdflow.training.loop import fit
from kdflow.training.member import Member

KEPT = Path(__file__).with_name("golden.json")
CPUINFO = Path("/proc/cpuinfo")
KINDS = ("cpu family", "model\t", "stepping", "cache size", "flags")


def arithmetic() -> str:
    """All that the last bits of a sum depend on: the processor, to the size of its cache, and the version of torch."""
    lines = CPUINFO.read_text(encoding="utf-8").splitlines() if CPUINFO.exists() else []
    of_one = sorted({line for line in lines if line.startswith(KINDS)})
    kind = hashlib.sha256("\n".join(of_one).encode()).hexdigest()[:8]
    return f"{cpu_name()} {kind}, torch {torch.__version__.partition('+')[0]}"


ARITHMETIC = arithmetic()
TOLERANCE = {"fp32": (1e-3, 0.05), "bf16": (0.05, 0.3)}
"""Relative, of the losses of the first epoch and of later ones, on another processor."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def images(count: int, seed: int) -> Split:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 160, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.arange(count) % 4
    for label in range(3):
        pixels[labels == label, label] += 60
    return Split(pixels, labels)


def small_data() -> Dataset:
    train, val, test = images(128, 1), images(32, 2), images(32, 3)
    classes = ("red", "green", "blue", "dark")
    parts, statistics = (train, val, val, torch.arange(len(val)), test), channel_statistics(train.images)
    return Dataset("golden", "golden", *parts, classes, *statistics, True, "", "")


def small_study(dtype: torch.dtype) -> dict[str, Any]:
    """A teacher with dropout, then a cohort of three: each epoch's losses, and what the final weights hash to."""
    data, found = small_data(), {}
    runtime = Runtime(seed=0, device=torch.device("cpu"), dtype=dtype, threads=1)
    teacher = Member("teacher", models.build("alexnet", 4, seed=0))
    students = [
        Member("alpha=1", models.build("small-cnn", 4, seed=0)),
        Member("alpha=0", models.build("small-cnn", 4, seed=0), 0.0, distillers.build("soft-targets")),
        Member("alpha=0.5 rkd", models.build("small-cnn", 4, seed=0), 0.5, distillers.build("rkd")),
    ]
    for cohort, epochs in (([teacher], 2), (students, 3)):
        frozen = Frozen(teacher.model) if cohort is students else None
        recipe = Recipe(epochs=epochs, batch_size=32)
        trained = list(fit(cohort, data, recipe, runtime=runtime, teacher=frozen))
        for place, member in enumerate(cohort):
            losses = [[epoch.metrics[place][name] for name in ("train/loss", "val/label_loss")] for epoch in trained]
            found[member.name] = {"losses": losses, "weights": digest(member.model)}
    return found


def digest(model: nn.Module) -> str:
    sha = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        sha.update(name.encode() + tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


@pytest.mark.parametrize("precision", DTYPES)
def test_a_small_study_computes_what_it_always_did(precision: str) -> None:
    kept = json.loads(KEPT.read_text(encoding="utf-8"))[precision]
    found = small_study(DTYPES[precision])
    first, later = TOLERANCE[precision]
    for name, one in found.items():
        for epoch, (ours, golden) in enumerate(zip(one["losses"], kept["losses"][name], strict=True)):
            assert ours == pytest.approx(golden, rel=later if epoch else first), name
    if hashes := kept["weights"].get(ARITHMETIC):
        assert {name: one["weights"] for name, one in found.items()} == hashes
        assert {name: one["losses"] for name, one in found.items()} == kept["losses"], "to the last bit"


def test_another_seed_is_not_the_same() -> None:
    data = small_data()
    runtime = Runtime(seed=0, device=torch.device("cpu"), dtype=torch.float32, threads=1)

    def train(seed: int) -> str:
        member = Member("student", models.build("small-cnn", 4, seed=0))
        list(fit([member], data, Recipe(epochs=1, batch_size=32), runtime=replace(runtime, seed=seed)))
        return digest(member.model)

    assert train(0) == train(0) != train(1)


def write(*, losses: bool) -> None:
    """Adds what this machine computes."""
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    for precision, dtype in DTYPES.items():
        found, of_it = small_study(dtype), kept.setdefault(precision, {"losses": {}, "weights": {}})
        if losses or not of_it["losses"]:
            of_it["losses"], of_it["weights"] = {name: one["losses"] for name, one in found.items()}, {}
        of_it["weights"][ARITHMETIC] = {name: one["weights"] for name, one in found.items()}
    KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(losses="--losses" in sys.argv)
