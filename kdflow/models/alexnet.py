"""AlexNet for 32x32 images, and torchvision's own AlexNet on enlarged ones.

Source: A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks",
NeurIPS 2012, figure 2; batch normalisation (Ioffe and Szegedy 2015) takes the place of local response normalisation.
"""

from torch import Tensor, nn
from torch.nn import functional

from kdflow.models.base import models

IMAGENET_SIZE = 224


class AlexNet(nn.Module):
    """Five 3x3 convolutions, three max pools, three linear layers with dropout.

    Args:
        classes: Number of logits.
        widths: Channels of the five convolutions.
        hidden: Units of the first two linear layers.
        dropout: Probability before each of the first two linear layers.
    """

    def __init__(
        self,
        classes: int,
        *,
        widths: tuple[int, int, int, int, int] = (32, 64, 128, 128, 128),
        hidden: tuple[int, int] = (1024, 512),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        one, two, three, four, five = widths
        self.features = nn.Sequential(
            *convolution(3, one, pooled=True),
            *convolution(one, two, pooled=True),
            *convolution(two, three),
            *convolution(three, four),
            *convolution(four, five, pooled=True),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(five * 4 * 4, hidden[0]),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden[0], hidden[1]),
            nn.ReLU(inplace=True),
            nn.Linear(hidden[1], classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Float `[batch, 3, 32, 32]` to logits `[batch, classes]`."""
        return self.classifier(self.features(images).flatten(1))


class ImageNetAlexNet(nn.Module):
    """torchvision's AlexNet (61 million parameters at 1000 classes), images enlarged to 224x224 on the device."""

    def __init__(self, classes: int) -> None:
        from torchvision.models import alexnet

        super().__init__()
        self.net = alexnet(weights=None, num_classes=classes)

    def forward(self, images: Tensor) -> Tensor:
        """Float `[batch, 3, 32, 32]` to logits `[batch, classes]`."""
        return self.net(functional.interpolate(images, size=(IMAGENET_SIZE, IMAGENET_SIZE), mode="bilinear"))


def convolution(channels_in: int, channels_out: int, *, pooled: bool = False) -> tuple[nn.Module, ...]:
    """A 3x3 convolution that keeps the size, batch normalisation and ReLU; pooled, a 2x2 max pool before the ReLU.

    Pooling first gives the same values and gradients to the last bit (the largest of the rectified is the rectified
    largest) and leaves a quarter of the elements to rectify.
    """
    return (
        nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        *([nn.MaxPool2d(2)] if pooled else []),
        nn.ReLU(inplace=True),
    )


@models.register("alexnet")
def alexnet(classes: int) -> nn.Module:
    """The teacher of the study: 3.0 million parameters at 10 classes."""
    return AlexNet(classes)


@models.register("alexnet-imagenet")
def alexnet_imagenet(classes: int) -> nn.Module:
    """torchvision's AlexNet on images enlarged to 224x224."""
    return ImageNetAlexNet(classes)
