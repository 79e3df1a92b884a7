"""The benchmark compares like with like, its statistics are right, and its workers and reports do what they say.

Not covered: whether the figures are right, and anything on a GPU.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from kdflow import distillers
from kdflow.config import Recipe
from kdflow.data import Dataset
from kdflow.device.runtime import Runtime
from kdflow.teachers.frozen import Frozen
from kdflow.teachers.shared import SharedTeacher
from kdflow.training.cohort import teacher_taps
from kdflow.training.member import Member, MemberTrainer

ROOT = Path(__file__).parents[1]
RECIPE = Recipe(lr=0.05, clip_norm=0.5, weight_decay=1e-2)  # the norm is clipped and the decay felt


@pytest.fixture(autouse=True)
def _on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.mark.parametrize("alpha", [1.0, 0.5, 0.0])
def test_the_tutorial_and_kdflow_take_the_same_steps(
    tiny: Callable[..., nn.Module], runtime: Runtime, alpha: float
) -> None:
    from programs.tutorial import Training

    images, labels = torch.randn(12, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 4
    theirs, ours, teacher = tiny(0), tiny(0), tiny(1).eval()
    one = Member("student", ours, alpha, distillers.build("soft-targets"))
    batch = SharedTeacher(Frozen(teacher), teacher_taps([one]), runtime).teach(
        images, labels, torch.arange(len(labels))
    )
    trainer, training = MemberTrainer(one, RECIPE, runtime, batch), Training(theirs, alpha, teacher, RECIPE)
    for _ in range(3):
        loss = float(trainer.step(batch, rate=RECIPE.lr)["train/loss"]) / len(labels)
        assert training.step(images, labels).item() == pytest.approx(loss, rel=1e-5)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def test_a_sample_keeps_the_shares_and_survives_its_file(data: Dataset, tmp_path: Path) -> None:
    from measuring.sample import read, shrink, write

    sample = shrink(data, 32)
    assert [len(split) for split in (sample.train, sample.val, sample.test)] == [32, 8, 8]
    assert len(shrink(data, 200).train) == 200, "a small set repeats images"
    assert not sample.digest, "what kdflow keeps of a data set must not be taken for a part of it"
    write(sample, tmp_path / "sample.npz")
    again = read(tmp_path / "sample.npz")
    for split in ("train", "val", "test"):
        assert torch.equal(getattr(again, split).images, getattr(sample, split).images)
        assert torch.equal(getattr(again, split).labels, getattr(sample, split).labels)
    assert (again.mean, again.std, again.mirrored) == (data.mean, data.std, data.mirrored)


def test_statistics_by_hand() -> None:
    from measuring.stats import Spread, paired_ratio, spread, t_interval

    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)
    assert spread([3.0, 1.0, 2.0]).show("{:.1f}") == "2.0 (1.0..3.0)"
    # Medians 4 and 2; within the rounds 4 / 1, 6 / 2 and 3 / 3.
    assert paired_ratio([4.0, 6.0, 3.0], [1.0, 2.0, 3.0]) == Spread(2.0, 1.0, 4.0, 3)
    # t(0.975, 2) = 4.3027; deviation 1, three differences.
    mean, half = t_interval([1.0, 2.0, 3.0])
    assert mean == 2
    assert half == pytest.approx(4.3027 / 3**0.5, rel=1e-4)
    assert t_interval([1.5]) == (1.5, None)


def test_the_work_of_a_step_is_that_of_its_models() -> None:
    from measuring.arithmetic import Work, step_work

    one, three, alone = (
        step_work(alphas, classes=10, batch_size=2, bytes_each=2) for alphas in ((0.5,), (1, 0, 0.5), (1,))
    )
    assert three.flops - one.flops == 2 * alone.flops, "a cohort shares the teacher's forward"
    assert three.bytes - one.bytes == 2 * alone.bytes
    assert Work(flops=100, bytes=10).floor_seconds(50, 10) == 2
    assert Work(flops=100, bytes=30).floor_seconds(50, 10) == 3


TRIVIAL = """
from measuring.worker import serve

def rounds(orders):
    print("a library that talks")
    return {job.name: (lambda job=job: {"students": len(job.alphas), "alphas": job.alphas}) for job in orders.jobs}

serve(rounds)
"""


def test_a_worker_answers_each_round_and_ends(tmp_path: Path) -> None:
    from measuring.worker import Job, Orders, Worker

    (tmp_path / "trivial.py").write_text(TRIVIAL)
    orders = Orders(tmp_path / "sample.npz", "cpu", (Job("one"), Job("two", alphas=(1.0, 0.5))))
    with Worker(str(tmp_path / "trivial"), orders) as worker:
        assert worker.wait_ready().about["ready"]
        replies = [worker.round(job) for job in ("two", "one", "two")]
    assert [(reply["job"], reply["students"]) for reply in replies] == [("two", 2), ("one", 0), ("two", 2)]
    assert replies[0]["alphas"] == [1.0, 0.5]
    assert all(0 <= reply["seconds"] < 1 and reply["peak_rss_mib"] > 1 for reply in replies)


def test_a_worker_that_fails_says_why(tmp_path: Path) -> None:
    from measuring.worker import Orders, Worker, WorkerFailed

    (tmp_path / "broken.py").write_text("raise SystemExit('no such device')")
    with (
        Worker(str(tmp_path / "broken"), Orders(tmp_path / "sample.npz", "cpu", ())) as worker,
        pytest.raises(WorkerFailed, match=r"^broken: no such device$"),
    ):
        worker.wait_ready()


@dataclass
class Recorder:
    """Stands for a worker."""

    turns: list[str] = field(default_factory=list)

    def round(self, job: str) -> dict[str, object]:
        self.turns.append(job)
        return {"job": job}


def test_programs_take_turns_in_reversed_order_every_other_round() -> None:
    from measuring.worker import interleave

    recorder = Recorder()
    lanes = {name: (recorder, name) for name in "abc"}
    replies = interleave(lanes, 3, say=lambda line: None)
    assert "".join(recorder.turns) == "abccbaabc"
    assert {name: len(answers) for name, answers in replies.items()} == {"a": 3, "b": 3, "c": 3}


def test_a_report_says_whether_targets_are_met(tmp_path: Path) -> None:
    from measuring.report import MEASURED, Section, Target, write
    from measuring.stats import spread

    section = Section("Speed", MEASURED, notes=["One note."])
    section.add("ratio", spread([2.0, 3.0, 4.0]), target=Target(2.5, " times"))
    section.add("memory", spread([2100.0]), form="{:,.0f}", unit=" MiB", target=Target(2048, " MiB", at_least=False))
    lines = section.markdown().splitlines()
    assert "| ratio | 3.00 (2.00..4.00) | at least 2.5 times: met |" in lines
    assert "| memory | 2,100 MiB | at most 2048 MiB: missed |" in lines
    assert "One note." in lines
    write(tmp_path / "bench.json", {"dataset": "digits"}, {"speed": section})
    found = json.loads((tmp_path / "bench.json").read_text())
    assert found["dataset"] == "digits"
    assert found["sections"]["speed"]["ratio"] == {
        "median": 3.0,
        "low": 2.0,
        "high": 4.0,
        "count": 3,
        "unit": "",
        "target": "at least 2.5 times: met",
    }


def test_accuracies_are_compared_by_seed_and_kept_for_a_run_that_goes_on(tmp_path: Path) -> None:
    from measuring import pairs

    settings = pairs.Settings(images=128, teacher_epochs=1, epochs=1, threads=1)
    accuracies = {"0": (0.5, 0.4), "1": (0.7, 0.7)}
    results = {
        seed: {
            name: {arm: {f"final/{split}_accuracy": value for split in ("val", "test")} for arm, value in both.items()}
            for name in ("teacher", "alpha = 1", "alpha = 0", "alpha = 0.5")
        }
        for seed, both in ((seed, dict(zip(pairs.ARMS, pair, strict=True))) for seed, pair in accuracies.items())
    }
    # Differences 10 and 0: mean 5, deviation 7.07, t(0.975, 1) = 12.706.
    assert "| teacher | 2 | 60.00 | 55.00 | +5.00 ± 63.53 | 60.00 | 55.00 | +5.00 ± 63.53 |" in pairs.table(results)
    out = tmp_path / "accuracy.json"
    out.write_text(json.dumps({"settings": vars(settings), "seeds": results}))
    said: list[str] = []
    assert pairs.measure(settings, [0, 1], out, say=said.append) == results
    assert not said, "what is done is not trained again"
    with pytest.raises(ValueError, match="other settings"):
        pairs.measure(replace(settings, epochs=2), [0], out)


def test_stub_runs_are_compared_as_those_that_were_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scale import fill

    from kdflow.analysis import selection
    from kdflow.config import CompareConfig
    from kdflow.tracking.store_runs import StoreRuns

    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    assert fill(store, 16) == 16
    found = selection.find(CompareConfig(), StoreRuns())
    assert list(found.arms["seeds"]) == [4, 4, 4, 4], "a teacher, labels and two that are distilled"
    assert all(row.history for row in found.rows)
    assert found.footnotes == ()


def test_torchdistill_runs_on_the_locked_torch() -> None:
    locked = (ROOT / "requirements.lock").read_text()
    pins = [
        line for line in (ROOT / "benchmarks/torchdistill.txt").read_text().splitlines() if line.startswith("torch")
    ]
    assert [line.partition("==")[0] for line in pins] == ["torchdistill", "torch", "torchvision"]
    for pin in pins[1:]:
        assert f"\n{pin} " in locked, f"benchmarks/torchdistill.txt: {pin} is not what requirements.lock says"


@pytest.mark.slow
def test_the_benchmark_runs_from_end_to_end(tmp_path: Path) -> None:
    sections = "epochs,study,cohorts,floor,growth,tracking,startup"
    command = [sys.executable, str(ROOT / "benchmarks/bench.py"), "--quick", "--steps", "1", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--sections", sections, "--out", "bench.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "bench.json").read_text())
    assert list(found["sections"]) == sections.split(",")
    assert found["sections"]["epochs"]["three students"]["times"]["tutorial"]["median"] > 0
