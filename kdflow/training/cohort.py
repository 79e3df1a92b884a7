"""The members of a cohort: each a model, its loss, its optimiser; and the step that they make together."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdflow.common.errors import KdflowError
from kdflow.common.seeding import derive_seed
from kdflow.config import Recipe
from kdflow.device.cuda_graphs import Graphed
from kdflow.device.runtime import Runtime
from kdflow.distillers.base import Activations, Distiller
from kdflow.evaluation.scores import correct, teacher_kl
from kdflow.models.features import LOGITS, Tapped
from kdflow.teachers.shared import TaughtBatch


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
        if self.alpha == 1:
            self.distiller = None
        elif self.distiller is None:
            raise ValueError(f"{self.name}: alpha = {self.alpha:g} needs a distiller")


@dataclass(frozen=True)
class Losses:
    """Means over a batch, scalars; `distill` is zero where there is no distiller."""

    total: Tensor
    label: Tensor
    distill: Tensor


class MemberTrainer:
    """A member in training.

    Args:
        member: Whose model is trained in place.
        recipe: Momentum, weight decay, clipping.
        runtime: Device and arithmetic.
        sample: A small batch, from which a distiller learns the shapes of activations.
    """

    def __init__(self, member: Member, recipe: Recipe, runtime: Runtime, sample: TaughtBatch) -> None:
        self.member = member
        self.model = runtime.place(member.model)
        self.device = runtime.device
        self._runtime = runtime
        self._clip_norm = recipe.clip_norm
        self._tapped = Tapped(self.model, member.distiller.student_taps if member.distiller else ())
        with runtime.own_randomness():
            torch.manual_seed(derive_seed(runtime.seed, "distiller"))
            self._prepare(sample)
        self._trained = nn.ModuleList([self.model, *([member.distiller] if member.distiller else [])])
        self._parameters = list(self._trained.parameters())
        self._optimiser = torch.optim.SGD(
            self._parameters,
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.momentum > 0,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        self._trained.train()

    def step(self, batch: TaughtBatch, *, rate: float | Tensor) -> Tensor:
        """One step of gradient descent; on CUDA the rate is a scalar there, so that nothing waits for it.

        Returns:
            Sums over the batch `[4]`: loss, label loss, distillation loss, correct answers.
        """
        for parameters in self._optimiser.param_groups:
            parameters["lr"] = rate
        with self._runtime.autocast():
            activations = self._tapped(batch.images)
        losses = self.losses(activations, batch)
        self._optimiser.zero_grad()
        losses.total.backward()
        if self._clip_norm:
            torch.nn.utils.clip_grad_norm_(self._parameters, self._clip_norm)
        self._optimiser.step()
        return _sums(losses, activations[LOGITS], batch.labels)

    def losses(self, activations: Activations, batch: TaughtBatch) -> Losses:
        """The member's loss and its parts; a part of weight zero gets no gradient."""
        alpha, distiller = self.member.alpha, self.member.distiller
        with torch.set_grad_enabled(alpha > 0 and torch.is_grad_enabled()):
            label = functional.cross_entropy(activations[LOGITS], batch.labels)
        if distiller is None:
            return Losses(label, label, torch.zeros_like(label))
        distill = distiller(activations, batch.taught)
        total = distill if alpha == 0 else alpha * label + (1 - alpha) * distill
        return Losses(total, label, distill)

    def training_metrics(self, means: Sequence[float]) -> dict[str, float]:
        """Training metrics by the names of the design, from an epoch's means in the order of `step`."""
        names = ("train/loss", "train/label_loss", "train/distill_loss", "train/accuracy")
        metrics = dict(zip(names, means, strict=True))
        if self.member.distiller is None:
            del metrics["train/distill_loss"]
        return metrics

    @torch.no_grad()
    def validate(self, batches: Iterable[TaughtBatch]) -> dict[str, float]:
        """Validation metrics by the names of the design; leaves model and distiller in train mode."""
        self._trained.eval()
        count, sums, closeness = 0, torch.zeros(4, device=self.device), torch.zeros(2, device=self.device)
        for batch in batches:
            with self._runtime.autocast():
                activations = self._tapped(batch.images)
            logits, taught = activations[LOGITS], batch.taught.get(LOGITS)
            count += len(logits)
            sums += _sums(self.losses(activations, batch), logits, batch.labels)
            if taught is not None:
                kl = teacher_kl(logits, taught) * len(logits)
                closeness += torch.stack([kl, correct(logits, taught.argmax(1))])
        self._trained.train()
        loss, label_loss, _, hits = (sums / count).tolist()
        metrics = {"val/loss": loss, "val/label_loss": label_loss, "val/accuracy": hits}
        if taught is not None:
            kl, agreement = (closeness / count).tolist()
            metrics |= {"val/teacher_kl": kl, "val/teacher_agreement": agreement}
        return metrics

    def state(self) -> dict[str, Any]:
        """All that the next step builds on: live tensors of model and distiller, and momentum by parameter."""
        distiller, optimised = self.member.distiller, self._optimiser.state
        momentum = [optimised.get(parameter, {}).get("momentum_buffer") for parameter in self._parameters]
        return {
            "model": self.model.state_dict(),
            "optimiser": dict(enumerate(momentum)),
            "distiller": distiller.state_dict() if distiller else {},
        }

    def restore(self, state: Any) -> None:
        """Copies what `state` gave; the next step is then as if training had never stopped.

        Raises:
            KdflowError: it is not the state of such a member.
        """
        ours, given = self.state(), state if isinstance(state, dict) else {}
        saved = {part: table if isinstance(table := given.get(part), dict) else {} for part in ours}
        momentum, distiller = saved["optimiser"], self.member.distiller
        # A parameter that never had a gradient has no momentum.
        moving = {i: weight for i, weight in enumerate(self._parameters) if momentum.get(i, weight) is not None}
        saved["optimiser"] = {i: tensor for i, tensor in momentum.items() if tensor is not None}
        for part, expected in (ours | {"optimiser": moving}).items():
            if (misfit := _misfit(expected, saved[part])) is not None:
                raise KdflowError(f"{self.member.name}: the saved {part} does not fit at {misfit!r}; start a new run")
        self.model.load_state_dict(saved["model"])
        if distiller:
            distiller.load_state_dict(saved["distiller"])
        for number, weight in moving.items():
            self._optimiser.state[weight]["momentum_buffer"] = momentum[number].to(weight.device, copy=True)

    def worst(self, sums: Sequence[float]) -> str:
        """Which part of the loss is no longer finite, such as "label loss is nan"; empty where all are.

        Args:
            sums: In the order of `step`.
        """
        loss, label, distill, _ = sums
        parts = {"distillation loss": distill, "label loss": label, "loss": loss}
        if self.member.alpha > 0:
            parts = {"label loss": label, **parts}
        return next((f"{part} is {value}" for part, value in parts.items() if not math.isfinite(value)), "")

    def close(self) -> None:
        """Leaves the model without hooks and in eval mode."""
        self._tapped.close()
        self._trained.eval()

    @torch.no_grad()
    def _prepare(self, sample: TaughtBatch) -> None:
        if distiller := self.member.distiller:
            self.model.eval()
            distiller.prepare(self._tapped(sample.images), sample.taught)
            distiller.to(self.device)


class CohortStep:
    """One step of all members on the same batch; on CUDA recorded as one graph, and replayed.

    Args:
        trainers: Of the members.
        runtime: Device.
    """

    def __init__(self, trainers: Sequence[MemberTrainer], runtime: Runtime) -> None:
        self._trainers = trainers
        self._taps: tuple[str, ...] = ()
        self._graphed = Graphed(self._step, runtime.device)

    def __call__(self, batch: TaughtBatch, *, rate: float | Tensor, dropout_seed: int) -> Tensor:
        """Sums over the batch `[members, 4]`, in the order of `MemberTrainer.step`."""
        torch.manual_seed(dropout_seed)
        self._taps = tuple(batch.taught)
        return self._graphed(batch.images, batch.labels, rate, *batch.taught.values())

    def _step(self, images: Tensor, labels: Tensor, rate: float | Tensor, *taught: Tensor) -> Tensor:
        batch = TaughtBatch(images, labels, dict(zip(self._taps, taught, strict=True)))
        sums = []
        for trainer in self._trainers:
            torch.default_generator.manual_seed(torch.initial_seed())  # the same dropout as if it were alone
            sums.append(trainer.step(batch, rate=rate))
        return torch.stack(sums)


def teacher_taps(cohort: Sequence[Member]) -> set[str]:
    """All that the members' distillers look at in the teacher."""
    return {tap for member in cohort if member.distiller for tap in member.distiller.teacher_taps}


def _misfit(expected: Mapping[Any, Tensor], saved: Mapping[Any, Any]) -> object:
    """The first name under which saved tensors are not of the expected kinds; None where all are."""

    def fits(ours: Tensor | None, theirs: Any) -> bool:
        if not isinstance(ours, Tensor) or not isinstance(theirs, Tensor):
            return False
        return (ours.shape, ours.dtype, ours.layout) == (theirs.shape, theirs.dtype, theirs.layout)

    names = [*expected, *saved]
    return next((name for name in names if not fits(expected.get(name), saved.get(name))), None)


def _sums(losses: Losses, logits: Tensor, labels: Tensor) -> Tensor:
    means = torch.stack([losses.total, losses.label, losses.distill]).detach()
    return torch.cat([means * len(labels), correct(logits, labels)[None]])
