"""One model in training: its loss, its optimiser, its state."""

import math
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdflow.common.errors import KdflowError
from kdflow.common.seeding import derive_seed
from kdflow.config import Recipe, needs_teacher
from kdflow.device.runtime import Runtime
from kdflow.distillers.base import DistillationBatch, Distiller
from kdflow.evaluation.metrics import Observed, measure
from kdflow.models.features import LOGITS, Activations, Tapped
from kdflow.teachers.shared import CohortBatch

LOSS, LABEL_LOSS, DISTILL_LOSS = "loss", "label_loss", "distill_loss"


@dataclass
class Member:
    """One model to train, on `alpha * cross-entropy with the labels + (1 - alpha) * distiller`.

    Attributes:
        name: For progress and messages.
        model: Trained in place.
        alpha: Weight of the labels, 0 to 1.
        distiller: The teacher's part of the loss; not used where alpha is 1.
    """

    name: str
    model: nn.Module
    alpha: float = 1.0
    distiller: Distiller | None = None

    def __post_init__(self) -> None:
        if not needs_teacher(self.alpha):
            self.distiller = None
        elif self.distiller is None:
            raise ValueError(f"{self.name}: alpha = {self.alpha:g} needs a distiller")


class Learner(nn.Module):
    """All that is trained of a member: the student, and what its distiller learns, which is never exported with it."""

    def __init__(self, member: Member) -> None:
        super().__init__()
        self.student = member.model
        if member.distiller:
            self.distiller = member.distiller


class MemberTrainer:
    """A member in training.

    Args:
        member: Whose model is trained in place.
        recipe: Momentum, weight decay, clipping.
        runtime: Device and arithmetic.
        sample: A small batch, from which a distiller learns the shapes of activations.
    """

    def __init__(self, member: Member, recipe: Recipe, runtime: Runtime, sample: CohortBatch) -> None:
        self.member = member
        self.model = runtime.place(member.model)
        self._runtime = runtime
        self._clip_norm = recipe.clip_norm
        self._tapped = Tapped(self.model, member.distiller.student_taps if member.distiller else ())
        with runtime.own_randomness():
            torch.manual_seed(derive_seed(runtime.seed, "distiller"))
            self._prepare(sample)
        self._learner = Learner(member)
        self._optimiser = torch.optim.SGD(
            self._learner.parameters(),
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.momentum > 0,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        self._learner.train()

    def step(self, batch: CohortBatch, *, rate: float | Tensor, progress: float | Tensor = 0.0) -> dict[str, Tensor]:
        """One step of gradient descent.

        Args:
            batch: What is shown.
            rate: Learning rate; on CUDA a scalar there, so that nothing waits for it.
            progress: Share of the training that is done; on CUDA a scalar there.

        Returns:
            The training metrics by name, sums over the batch, scalars.
        """
        for parameters in self._optimiser.param_groups:
            parameters["lr"] = rate
        with self._runtime.autocast():
            activations = self._tapped(batch.images)
        losses = self.losses(activations, batch, progress=progress)
        self._optimiser.zero_grad()
        losses[LOSS].backward()
        if self._clip_norm:
            torch.nn.utils.clip_grad_norm_(self._learner.parameters(), self._clip_norm)
        self._optimiser.step()
        sums = measure("train/", _observed(activations, losses, batch))
        return sums | {f"train/{name}": losses[name].detach() * len(batch.labels) for name in losses if "/" in name}

    def losses(
        self, activations: Activations, batch: CohortBatch, *, progress: float | Tensor = 0.0
    ) -> dict[str, Tensor]:
        """The member's loss and its parts by name, means over the batch; a part of weight zero gets no gradient.

        "loss" is what is minimised, "label_loss" its part of the labels; where there is a distiller, "distill_loss" is
        the teacher's part, and "distill_loss/angle" and the like the named terms of a method that has several.
        """
        alpha, distiller = self.member.alpha, self.member.distiller
        with torch.set_grad_enabled(alpha > 0 and torch.is_grad_enabled()):
            label = functional.cross_entropy(activations[LOGITS], batch.labels)
        if distiller is None:
            return {LOSS: label, LABEL_LOSS: label}
        seen = batch.labels if distiller.reads_labels else None
        given = distiller(DistillationBatch(activations, batch.teacher, batch.index, progress, seen))
        terms = given if isinstance(given, Mapping) else {}
        distill = reduce(torch.add, terms.values()) if isinstance(given, Mapping) else given
        total = distill if alpha == 0 else alpha * label + (1 - alpha) * distill
        return {LOSS: total, LABEL_LOSS: label, DISTILL_LOSS: distill} | {
            f"{DISTILL_LOSS}/{name}": term for name, term in terms.items()
        }

    @torch.no_grad()
    def validate(self, batches: Iterable[CohortBatch], *, progress: float = 1.0) -> dict[str, float]:
        """Validation metrics by name, means over all images; leaves model and distiller in train mode."""
        self._learner.eval()
        count, sums = 0, dict[str, Tensor]()
        for batch in batches:
            with self._runtime.autocast():
                activations = self._tapped(batch.images)
            count += len(batch.labels)
            losses = self.losses(activations, batch, progress=progress)
            for name, value in measure("val/", _observed(activations, losses, batch)).items():
                sums[name] = sums.get(name, 0) + value.float()
        self._learner.train()
        means = (torch.stack(list(sums.values())) / count).tolist()
        return dict(zip(sums, means, strict=True))

    def state(self) -> dict[str, Any]:
        """All that the next step builds on: live tensors of all that is trained, and of the optimiser."""
        return {"learner": self._learner.state_dict(), "optimiser": self._optimiser.state_dict()["state"]}

    def restore(self, state: Any) -> None:
        """Copies what `state` gave; the next step is then as if training had never stopped.

        Raises:
            KdflowError: it is not the state of such a member.
        """
        saved = state if isinstance(state, dict) else {}
        learned, moving = _table(saved.get("learner")), _table(saved.get("optimiser"))
        weights = dict(enumerate(self._learner.parameters()))
        momentum = {number: _table(one).get("momentum_buffer", one) for number, one in moving.items()}
        momentum = {number: one for number, one in momentum.items() if one is not None}  # it never had a gradient
        self._require("weights do", _misfit(self._learner.state_dict(), learned))
        self._require("optimiser does", _misfit({number: weights.get(number) for number in momentum}, momentum))
        if "optimiser" not in saved:
            self._require("optimiser does", "optimiser")
        self._learner.load_state_dict(learned)
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": deepcopy(moving), "param_groups": groups})

    def worst(self, sums: Mapping[str, float]) -> str:
        """Which part of the loss is no longer finite, such as "label loss is nan"; empty where all are.

        Args:
            sums: What `step` gave.
        """
        parts = {"label loss": sums[f"train/{LABEL_LOSS}"]} if self.member.alpha > 0 else {}
        parts |= {"distillation loss": sums.get(f"train/{DISTILL_LOSS}", 0.0)}
        parts |= {"label loss": sums[f"train/{LABEL_LOSS}"], "loss": sums[f"train/{LOSS}"]}
        return next((f"{part} is {value}" for part, value in parts.items() if not math.isfinite(value)), "")

    def close(self) -> None:
        """Leaves the model without hooks and in eval mode."""
        self._tapped.close()
        self._learner.eval()

    @torch.no_grad()
    def _prepare(self, sample: CohortBatch) -> None:
        if distiller := self.member.distiller:
            self.model.eval()
            seen = sample.labels if distiller.reads_labels else None
            activations = self._tapped(sample.images)
            distiller.prepare(DistillationBatch(activations, sample.teacher, sample.index, 0.0, seen))
            distiller.to(self._runtime.device)

    def _require(self, part: str, misfit: object) -> None:
        if misfit is not None:
            raise KdflowError(f"{self.member.name}: the saved {part} not fit at {misfit!r}; start a new run")


def _observed(activations: Activations, losses: Mapping[str, Tensor], batch: CohortBatch) -> Observed:
    logits = activations[LOGITS].detach()
    count = len(batch.labels)
    sums = {name: value.detach() * count for name, value in losses.items() if "/" not in name}
    return Observed(logits, logits.argmax(1), batch.labels, sums, batch.teacher)


def _table(saved: object) -> dict[Any, Any]:
    return saved if isinstance(saved, dict) else {}


def _misfit(expected: Mapping[Any, Tensor | None], saved: Mapping[Any, Any]) -> object:
    """The first name under which saved tensors are not of the expected kinds; None where all are."""

    def fits(ours: Tensor | None, theirs: Any) -> bool:
        if not isinstance(ours, Tensor) or not isinstance(theirs, Tensor):
            return False
        return (ours.shape, ours.dtype, ours.layout) == (theirs.shape, theirs.dtype, theirs.layout)

    names = [*expected, *saved]
    return next((name for name in names if not fits(expected.get(name), saved.get(name))), None)
