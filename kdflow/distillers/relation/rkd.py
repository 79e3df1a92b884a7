"""Relational knowledge distillation: distances and angles between the images of a batch.

Source: W. Park, D. Kim, Y. Lu, M. Cho, "Relational Knowledge Distillation", CVPR 2019 (arXiv 1904.05068), section 3.2.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from kdflow.config.option import option
from kdflow.distillers.base import DistillationBatch, Distiller, Terms, distillers
from kdflow.models.features import EMBEDDING


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """RKD-D: Huber loss between pairwise distances, each side divided by its mean distance (section 3.2.1).

    Args:
        student: Embeddings `[batch, features]`.
        teacher: Embeddings `[batch, features]`, not necessarily as wide.

    Returns:
        A scalar, the mean over the pairs of different images; 0 for a single image.
    """
    return functional.smooth_l1_loss(_relative_distances(student), _relative_distances(teacher))


def angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """RKD-A: Huber loss between the cosines of the angles that triplets of images form (section 3.2.2).

    Args:
        student: Embeddings `[batch, features]`.
        teacher: Embeddings `[batch, features]`, not necessarily as wide.

    Returns:
        A scalar, the mean over all ordered triplets of the batch.
    """
    return functional.smooth_l1_loss(_cosines(student), _cosines(teacher))


def _relative_distances(embedding: Tensor) -> Tensor:
    count = len(embedding)
    if count == 1:
        return embedding.sum() * 0
    first, second = torch.triu_indices(count, count, offset=1, device=embedding.device)
    distances = (embedding[first] - embedding[second]).norm(dim=1)
    return distances / distances.mean().clamp_min(1e-12)


def _cosines(embedding: Tensor) -> Tensor:
    differences = embedding[None] - embedding[:, None]
    coinciding = (differences == 0).all(dim=2, keepdim=True)  # they have no direction, and would get a huge gradient
    directions = functional.normalize(differences, dim=2).masked_fill(coinciding, 0)
    return torch.bmm(directions, directions.transpose(1, 2))


@distillers.register("rkd")
@dataclass(eq=False)
class RelationalDistillation(Distiller):
    """Distances and angles between the batch's embeddings, before the last layer (Park et al. 2019).

    It says nothing to the last layer: at alpha = 0 that stays as it was initialised, and accuracy is that of chance.
    """

    formula = "distance * Huber(distances of pairs / their mean) + angle * Huber(cosines of triplets)"
    student_taps = (EMBEDDING,)
    teacher_taps = (EMBEDDING,)
    distance: float = option(25.0, "Weight of the distance loss.", low=0, high=1e6)
    angle: float = option(50.0, "Weight of the angle loss.", low=0, high=1e6)

    def forward(self, batch: DistillationBatch) -> Terms:
        """Embeddings `[batch, features]` of both to the weighed distance loss and angle loss."""
        ours, theirs = batch.student[EMBEDDING].flatten(1), batch.teacher[EMBEDDING].flatten(1)
        return {
            "distance": self.distance * distance_loss(ours, theirs),
            "angle": self.angle * angle_loss(ours, theirs),
        }
