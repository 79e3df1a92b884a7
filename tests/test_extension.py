"""Each kind of thing is added by one file: a whole package with six more files trains, is killed and goes on.

The six files are the examples of docs/development.md, taken from its text.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = re.compile(r"`(kdflow/[\w/]+\.py)`[^`]*?:\n\n```python\n(.*?)```", re.DOTALL)
TRAIN = """
import hashlib, os, signal, sys
from pathlib import Path
from dataclasses import replace
import torch
from kdflow import distillers, models
from kdflow.config import DataConfig, Recipe, RuntimeConfig
from kdflow.data import load
from kdflow.device.runtime import resolve
from kdflow.experiments.catalogue import made
from kdflow.teachers import Frozen, controls
from kdflow.training import checkpoint
from kdflow.training.loop import fit
from kdflow.training.member import Member

folder, kill = Path(sys.argv[1]), len(sys.argv) > 2
data = load(DataConfig(dataset="stripes"))
runtime = resolve(RuntimeConfig(device="cpu", precision="fp32", threads=1))
teacher = controls["uniform"](Frozen(models.build("alexnet", len(data.classes), seed=1)), data)

def train(resume=None, into=None):
    cohort = [
        Member("hints", models.build("pebble", 3, seed=0), 0.5, distillers.build("stage-hints", knobs="weight=2")),
        Member("labels", models.build("pebble", 3, seed=0), 0.0, distillers.build("confident-targets")),
    ]
    def on_step(step):
        if kill and resume is None and list(folder.glob("epoch-0001.json")) and step.number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    recipe = Recipe(epochs=2, batch_size=16)
    epochs = fit(cohort, data, recipe, runtime=runtime, teacher=teacher, resume=resume, on_step=on_step)
    for epoch in epochs:
        assert all("val/confidence" in metrics for metrics in epoch.metrics)
        if into:
            checkpoint.save(into, epoch.number, {"state": epoch.state})
    assert not any("projections" in name for name in cohort[0].model.state_dict())
    assert any("projections" in name for name in epoch.state["members"][0]["learner"])
    return [value for member in cohort for value in member.model.state_dict().values()]

if kill:
    train(into=folder)
kept, _ = checkpoint.load(folder)
assert kept["epoch"] == 1
resumed, straight = train(resume=kept["state"]), train()
assert all(torch.equal(a, b) for a, b in zip(resumed, straight, strict=True)), "not as if it was never killed"
known = made()
assert "stripes" in known["dataset"] and "pebble" in known["model"]
assert {"stage-hints", "confident-targets"} <= set(known["distiller"])
print("all as it should be")
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a copy of kdflow to which each example was added."""
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(ROOT / "kdflow", folder / "kdflow", ignore=shutil.ignore_patterns("__pycache__"))
    examples = EXAMPLE.findall((ROOT / "docs" / "development.md").read_text(encoding="utf-8"))
    assert len(examples) == 6
    for name, text in examples:
        path = folder / name
        assert path.parent.is_dir(), f"{name}: a room that there is"
        assert not path.exists()
        path.write_text(text, encoding="utf-8")
    return folder


def run(package: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(package)}
    command = [sys.executable, "-W", "error::UserWarning", *arguments]
    return subprocess.run(command, cwd=package, env=environment, capture_output=True, text=True, timeout=240)


def test_six_files_more_train_in_one_cohort_are_checkpointed_killed_and_go_on_bit_for_bit(
    package: Path, tmp_path: Path
) -> None:
    killed = run(package, "-c", TRAIN, str(tmp_path), "kill")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp_path / "epoch-0001.json").exists()
    again = run(package, "-c", TRAIN, str(tmp_path))
    assert again.stdout == "all as it should be\n", again.stderr


@pytest.mark.slow
def test_the_command_line_takes_what_was_added_and_shows_the_metric(package: Path, tmp_path: Path) -> None:
    small = ("--dataset", "stripes", "--student-model", "pebble", "--teacher-epochs", "1", "--student-epochs", "1")
    method = ("--distiller", "stage-hints", "--knobs", "weight=2", "--alphas", "1,0.5", "--offline", "true")
    done = run(package, "-m", "kdflow", "study", *small, *method, "--runs-dir", str(tmp_path / "runs"))
    assert done.returncode == 0, done.stderr
    assert " sure " in done.stdout
