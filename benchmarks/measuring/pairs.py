"""Whether the fast arithmetic learns as well: the same training twice, by default settings and in exact float32.

Both start from the same weights and see the same images. The students of both learn from the same teacher, so that
their difference is theirs alone.
"""

import copy
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import fmean

import torch
from measuring import cohorts
from measuring.sample import shrink
from measuring.stats import t_interval

from kdflow.config import STUDENT_RECIPE, TEACHER_RECIPE, DataConfig, Recipe, RuntimeConfig
from kdflow.data import Dataset, load
from kdflow.device.runtime import resolve
from kdflow.evaluation.scores import final_scores
from kdflow.models.export import Servable
from kdflow.teachers.frozen import Frozen
from kdflow.training.loop import fit
from kdflow.training.member import Member

ALPHAS = (1.0, 0.0, 0.5)
ARMS = ("fast", "fp32")
POOLED = "students, mean of three"

Scores = dict[str, float]
Results = dict[str, dict[str, dict[str, Scores]]]  # seed -> member -> arm -> final scores


@dataclass(frozen=True)
class Settings:
    """What results must share to stand in one table."""

    dataset: str = "digits"
    images: int = 0
    teacher_epochs: int = 20
    epochs: int = 10
    device: str = "cpu"
    threads: int = 0


def measure(
    settings: Settings, seeds: Sequence[int], out: Path, *, data_dir: str = "data", say: Callable[[str], None] = print
) -> Results:
    """Trains what the file of results lacks, and writes the file after each training.

    Raises:
        ValueError: the file holds results of other settings.
    """
    # Without a digest, so that nothing is kept of it.
    data = replace(shrink(load(DataConfig(dataset=settings.dataset, data_dir=data_dir)), settings.images), digest="")
    results = _read(settings, out)
    for seed in seeds:
        _measure_seed(settings, seed, data, results, out, say)
    return {str(seed): results[str(seed)] for seed in seeds}


def table(results: Results) -> str:
    """Accuracies in %, means over seeds; the difference is fast minus fp32, with a 95 % t-interval."""
    head = "| run | seeds | " + " | ".join(
        f"{name} fast | {name} fp32 | {name} difference" for name in ("validation", "test")
    )
    lines = [f"{head} |", "|---|---|" + "---|" * 6]
    for member in members(results):
        cells = [member, str(len(results))]
        for name in ("val", "test"):
            columns = [[100 * _score(one, member, arm, name) for one in results.values()] for arm in ARMS]
            mean, half = t_interval(differences(results, member, name))
            cells += [f"{fmean(column):.2f}" for column in columns]
            cells.append(f"{mean:+.2f}" + (f" ± {half:.2f}" if half is not None else ""))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def differences(results: Results, member: str, split: str) -> list[float]:
    """Fast minus fp32 for each seed, in percentage points."""
    both = ([100 * _score(one, member, arm, split) for one in results.values()] for arm in ARMS)
    return [fast - exact for fast, exact in zip(*both, strict=True)]


def members(results: Results) -> list[str]:
    """Names of the rows."""
    return [*next(iter(results.values())), POOLED]


def _score(by_member: Mapping[str, Mapping[str, Scores]], member: str, arm: str, name: str) -> float:
    if member != POOLED:
        return by_member[member][arm][f"final/{name}_accuracy"]
    students = [one for one in by_member if one != "teacher"]
    return sum(_score(by_member, one, arm, name) for one in students) / len(students)


def _measure_seed(
    settings: Settings, seed: int, data: Dataset, results: Results, out: Path, say: Callable[[str], None]
) -> None:
    done = results.setdefault(str(seed), {})

    @cache
    def teacher(arm: str) -> Member:
        member = cohorts.teacher(len(data.classes), seed=seed)
        recipe = replace(TEACHER_RECIPE, epochs=settings.teacher_epochs)
        return _trained([member], data, recipe, settings, seed, arm, None, say)[0]

    def students(arm: str) -> list[Member]:
        cohort = cohorts.students(len(data.classes), ALPHAS, seed=seed)
        recipe = replace(STUDENT_RECIPE, epochs=settings.epochs)
        # A copy: a trained model stays as it was.
        frozen = Frozen(copy.deepcopy(teacher("fast").model))
        return _trained(cohort, data, recipe, settings, seed, arm, frozen, say)

    names = [f"alpha = {alpha:g}" for alpha in ALPHAS]
    plan: list[tuple[str, list[str], Callable[[str], list[Member]]]] = [
        ("fast", ["teacher"], lambda arm: [teacher(arm)]),
        ("fast", names, students),
        ("fp32", names, students),
        ("fp32", ["teacher"], lambda arm: [teacher(arm)]),
    ]
    for arm, wanted, train in plan:
        if all(arm in done.get(name, {}) for name in wanted):
            continue
        for member in train(arm):
            done.setdefault(member.name, {})[arm] = _scores(member, data, settings)
            accuracy = done[member.name][arm]["final/test_accuracy"]
            say(f"seed {seed}, {arm}, {member.name}: test {accuracy:.2%}")
        _write(settings, results, out)


def _trained(
    cohort: list[Member],
    data: Dataset,
    recipe: Recipe,
    settings: Settings,
    seed: int,
    arm: str,
    teacher: Frozen | None,
    say: Callable[[str], None],
) -> list[Member]:
    runtime = resolve(runtime_config(arm, seed=seed, device=settings.device, threads=settings.threads))
    began = time.perf_counter()
    for epoch in fit(cohort, data, recipe, runtime=runtime, teacher=teacher):
        shown = "  ".join(f"{metrics['val/accuracy']:.2%}" for metrics in epoch.metrics)
        seconds = time.perf_counter() - began
        say(
            f"seed {seed}, {arm} ({runtime.describe()}): epoch {epoch.number}/{recipe.epochs}  {shown}  {seconds:.0f} s"
        )
    return cohort


def runtime_config(arm: str, *, seed: int, device: str, threads: int) -> RuntimeConfig:
    """Default settings, or the exact and slow ones: float32, deterministic."""
    config = RuntimeConfig(seed=seed, device=device, threads=threads)
    if arm == "fast":
        return config
    return replace(config, precision="fp32", deterministic=True)


def _scores(member: Member, data: Dataset, settings: Settings) -> Scores:
    device = torch.device(settings.device)
    servable = Servable(member.model, data.mean, data.std).to(device)
    return final_scores(servable, data, device=device)


def _read(settings: Settings, out: Path) -> Results:
    if not out.exists():
        return {}
    kept = json.loads(out.read_text(encoding="utf-8"))
    if kept["settings"] != vars(settings):
        raise ValueError(f"{out} holds results of other settings, {kept['settings']}: name another --out")
    return kept["seeds"]


def _write(settings: Settings, results: Results, out: Path) -> None:
    written = out.with_name(out.name + ".new")
    written.write_text(json.dumps({"settings": vars(settings), "seeds": results}, indent=2), encoding="utf-8")
    os.replace(written, out)
