"""A data set as a training shows it: on the device, normalised, in the order of each epoch."""

from collections.abc import Iterable, Iterator

import torch

from kdflow.config import Recipe
from kdflow.data import Dataset
from kdflow.data.batches import Batch, in_order, steps_per_epoch, training_batches
from kdflow.device.runtime import Runtime
from kdflow.models.export import Normalised
from kdflow.teachers.shared import Shown


class ShownImages:
    """The training and validation images of a data set.

    Args:
        data: Of which the test split is not touched.
        recipe: Batch size.
        runtime: Seed, device.
    """

    def __init__(self, data: Dataset, recipe: Recipe, runtime: Runtime) -> None:
        self._train, self._val = data.train.to(runtime.device), data.val.to(runtime.device)
        self._normalise = Normalised(data.mean, data.std).to(runtime.device)
        self._mirrored, self._size, self._runtime = data.mirrored, recipe.batch_size, runtime
        self.steps = steps_per_epoch(len(data.train), recipe.batch_size)
        # Images of unknown origin cannot be recognised again.
        known = (data.digest, data.split_digest, data.mirrored, runtime.seed, recipe.batch_size)
        self.stream: tuple[object, ...] = known if data.digest else ()

    @property
    def sample(self) -> Shown:
        """Two training images."""
        index = torch.arange(2, device=self._train.labels.device)
        return self._normalise(self._train.images[:2]), self._train.labels[:2], index

    def training(self, epoch: int) -> Iterator[Shown]:
        """One epoch, counted from 1, in its own order and augmentation."""
        return self._shown(
            training_batches(
                self._train,
                seed=self._runtime.seed,
                epoch=epoch,
                batch_size=self._size,
                mirrored=self._mirrored,
                at_once=self._runtime.device.type == "cuda",
            )
        )

    def validation(self) -> Iterator[Shown]:
        """All validation images in their order."""
        return self._shown(in_order(self._val, self._size))

    def _shown(self, batches: Iterable[Batch]) -> Iterator[Shown]:
        return ((self._normalise(batch.images), batch.labels, batch.index) for batch in batches)
