"""The student of the study: two convolution blocks and three linear layers."""

from torch import Tensor, nn

from kdflow.models.alexnet import convolution
from kdflow.models.base import models


class SmallCNN(nn.Module):
    """Two blocks of (3x3 convolution, batch normalisation, ReLU, max pool), then three linear layers.

    Args:
        classes: Number of logits.
        widths: Channels of the two convolutions.
        hidden: Units of the first two linear layers.
    """

    def __init__(self, classes: int, *, widths: tuple[int, int] = (16, 32), hidden: tuple[int, int] = (48, 32)) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *convolution(3, widths[0]),
            nn.MaxPool2d(2),
            *convolution(widths[0], widths[1]),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Linear(widths[1] * 8 * 8, hidden[0]),
            nn.ReLU(inplace=True),
            nn.Linear(hidden[0], hidden[1]),
            nn.ReLU(inplace=True),
            nn.Linear(hidden[1], classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Float `[batch, 3, 32, 32]` to logits `[batch, classes]`."""
        return self.classifier(self.features(images).flatten(1))


@models.register("small-cnn")
def small_cnn(classes: int) -> nn.Module:
    """The student of the study: 105 thousand parameters at 10 classes."""
    return SmallCNN(classes)
