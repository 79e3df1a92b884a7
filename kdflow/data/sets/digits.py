"""scikit-learn's bundled handwritten digits: 1,797 real images, enlarged to 32x32. Needs no network."""

import torch

from kdflow.config import DataConfig
from kdflow.data.base import IMAGE_SIZE, RawData, Split, sources


@sources.register("digits")
def digits(config: DataConfig) -> RawData:
    """1,437 training and 360 test images of ten classes; a fixed split, as the bundled set has none of its own.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998 (its test part; 8x8 pixels
    from 0 to 16).
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    small = torch.from_numpy(bunch.images).float()[:, None] * (255 / 16)
    large = torch.nn.functional.interpolate(small, size=(IMAGE_SIZE, IMAGE_SIZE), mode="bilinear")
    everything = Split(large.round().to(torch.uint8).repeat(1, 3, 1, 1), torch.from_numpy(bunch.target).long())
    train, test = train_test_split(
        torch.arange(len(everything)), test_size=360, stratify=everything.labels, random_state=0
    )
    names = tuple(str(name) for name in bunch.target_names)
    return RawData(everything.select(train), everything.select(test), names, mirrored=False)
