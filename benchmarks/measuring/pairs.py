"""Whether the fast arithmetic learns as well: the same training twice, by default settings and in exact float32.

Both start from the same weights and see the same images. The students of both learn from the same teacher, so that
their difference is theirs alone.
"""

import copy
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import torch
from measuring import cohorts
from measuring.report import table as markdown
from measuring.sample import shrink
from measuring.stats import t_interval

from kdflow.config import STUDENT_RECIPE, TEACHER_RECIPE, DataConfig, Recipe, RuntimeConfig
from kdflow.data import Dataset, load
from kdflow.device.runtime import resolve
from kdflow.evaluation.scores import final_evaluation
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
        trainings = _Trainings(settings, seed, data, say)
        for arm, cohort in trainings.lacking(results.setdefault(str(seed), {})):
            for member in cohort:
                scores = _scores(member, data, settings)
                results[str(seed)].setdefault(member.name, {})[arm] = scores
                say(f"seed {seed}, {arm}, {member.name}: test {scores['final/test_accuracy']:.2%}")
            _write(settings, results, out)
    return {str(seed): results[str(seed)] for seed in seeds}


@dataclass(frozen=True)
class _Trainings:
    """Those of one seed."""

    settings: Settings
    seed: int
    data: Dataset
    say: Callable[[str], None]

    def lacking(self, done: Mapping[str, Mapping[str, Scores]]) -> Iterator[tuple[str, list[Member]]]:
        """An arm and what it trained, for each training of which `done` has not everything."""

        def lacks(arm: str, *names: str) -> bool:
            return any(arm not in done.get(name, {}) for name in names)

        students = [f"alpha = {alpha:g}" for alpha in ALPHAS]
        if lacks("fast", "teacher", *students) or lacks("fp32", *students):
            (teacher,) = taught = self._teacher("fast")
            yield "fast", taught
            for arm in ARMS:
                if lacks(arm, *students):
                    cohort = cohorts.students(len(self.data.classes), ALPHAS, seed=self.seed)
                    recipe = replace(STUDENT_RECIPE, epochs=self.settings.epochs)
                    # A copy: a trained model stays as it was.
                    yield arm, self._train(arm, cohort, recipe, Frozen(copy.deepcopy(teacher.model)))
        if lacks("fp32", "teacher"):
            yield "fp32", self._teacher("fp32")

    def _teacher(self, arm: str) -> list[Member]:
        recipe = replace(TEACHER_RECIPE, epochs=self.settings.teacher_epochs)
        return self._train(arm, [cohorts.teacher(len(self.data.classes), seed=self.seed)], recipe)

    def _train(self, arm: str, cohort: list[Member], recipe: Recipe, teacher: Frozen | None = None) -> list[Member]:
        config = RuntimeConfig(seed=self.seed, device=self.settings.device, threads=self.settings.threads)
        if arm == "fp32":
            config = replace(config, precision="fp32", deterministic=True)
        runtime, began = resolve(config), time.perf_counter()
        for epoch in fit(cohort, self.data, recipe, runtime=runtime, teacher=teacher):
            shown = "  ".join(f"{metrics['val/accuracy']:.2%}" for metrics in epoch.metrics)
            where = f"seed {self.seed}, {arm} ({runtime.describe()}): epoch {epoch.number}/{recipe.epochs}"
            self.say(f"{where}  {shown}  {time.perf_counter() - began:.0f} s")
        return cohort


def table(results: Results) -> str:
    """Accuracies in %, means over seeds; the difference is fast minus fp32, with a 95 % t-interval."""
    splits = {"val": "validation", "test": "test"}
    columns = ["run", "seeds", *(f"{name} {what}" for name in splits.values() for what in (*ARMS, "difference"))]
    rows = []
    for member in (*next(iter(results.values())), POOLED):
        cells = [member, str(len(results))]
        for split in splits:
            fast, exact = ([100 * _accuracy(one, member, arm, split) for one in results.values()] for arm in ARMS)
            mean, half = t_interval([one - other for one, other in zip(fast, exact, strict=True)])
            difference = f"{mean:+.2f}" + (f" ± {half:.2f}" if half is not None else "")
            cells += [f"{fmean(fast):.2f}", f"{fmean(exact):.2f}", difference]
        rows.append(cells)
    return markdown(columns, rows)


def _accuracy(by_member: Mapping[str, Mapping[str, Scores]], member: str, arm: str, split: str) -> float:
    if member != POOLED:
        return by_member[member][arm][f"final/{split}_accuracy"]
    return fmean(_accuracy(by_member, one, arm, split) for one in by_member if one != "teacher")


def _scores(member: Member, data: Dataset, settings: Settings) -> Scores:
    device = torch.device(settings.device)
    return final_evaluation(Servable(member.model, data.mean, data.std).to(device), data, device=device).scores


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
