"""How often the verdict of kdflow is wrong where the truth is known, beside tests that are often used.

    python benchmarks/verdicts.py                                # the table of docs/statistics.md, two minutes
    python benchmarks/verdicts.py --images 10000 --effect 1.0    # larger test set, arms that gain one point

Nothing is trained. A model is right on an image if the sum of five normal numbers is positive: how easy the image is,
how well the image suits the arm (its image effect), the seed, what the seed does to the arm, and the luck of this model
with this image. So arms differ on the images at hand, and in nothing on all images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import click
import numpy as np
from scipy.stats import norm

from kdflow.analysis.effect import GAIN, LOSS, Effect
from kdflow.analysis.effects import judge
from kdflow.analysis.intervals import Bools, Spread, over_seeds
from kdflow.analysis.pairs import Pairs
from kdflow.analysis.significance import mcnemar

EASE, HARDNESS = 0.95, 1.2
SHARED = 0.35
"""Of the deviation that seeds give an arm, what a seed gives all arms alike."""
IMAGE_EFFECTS = {"none": 0.0, "moderate": 0.3, "large": 0.6}
HEADINGS = "image effects | n | half-width | coverage | decided, an arm | any arm | t over seeds | McNemar pooled"


@dataclass(frozen=True)
class World:
    """What predictions are drawn from.

    Attributes:
        arms: The baseline among them.
        seeds: Of each.
        images: Of the test set, drawn anew with the seeds.
        by_image: Deviation of the image effects of an arm.
        by_seed: Deviation that seeds give an arm.
        effect: By how much all arms are more accurate than the baseline, a fraction.
    """

    arms: int = 5
    seeds: int = 5
    images: int = 4000
    by_image: float = 0.3
    by_seed: float = 0.02
    effect: float = 0.0

    def draw(self, rng: np.random.Generator) -> Bools:
        """Whether each model is right on each image, `[arms, seeds, images]`."""

        def normal(*shape: int) -> np.ndarray:
            return rng.standard_normal(shape, dtype=np.float32)

        ease = EASE + HARDNESS * normal(1, 1, self.images) + self.by_image * normal(self.arms, 1, self.images)
        seed = self.by_seed * (normal(self.arms, self.seeds, 1) + SHARED * normal(1, self.seeds, 1))
        ease[1:] += self._shift()
        return ease + seed + normal(self.arms, self.seeds, self.images) > 0

    def _shift(self) -> float:
        spread = (HARDNESS**2 + self.by_image**2 + self.by_seed**2 * (1 + SHARED**2) + 1) ** 0.5
        return float(spread * norm.ppf(norm.cdf(EASE / spread) + self.effect) - EASE)


@dataclass(frozen=True)
class Shares:
    """Of all repetitions, or of all arms of all repetitions.

    Attributes:
        half: Mean half-width of an interval, a fraction of the images and not of the repetitions.
        coverage: Arms whose interval holds the truth.
        arm: Arms with a verdict of gain or loss: false, where the effect is 0.
        family: Repetitions with any such arm.
        t: Arms that a paired t-test over seeds finds to differ, at 5 % each.
        pooled: Repetitions in which McNemar's test, given all seeds as one, finds the first arm to differ, at 5 %.
    """

    half: float
    coverage: float
    arm: float
    family: float
    t: float
    pooled: float


def judged(correct: Bools, *, margin: float = 0.005) -> tuple[Effect, ...]:
    """The effects of all arms on the first."""
    seeds = tuple(range(correct.shape[1]))
    both = [correct[[arm, 0]] for arm in range(1, len(correct))]
    return judge(
        [Pairs(arm, 0, seeds, 0, one.mean(axis=2), one) for arm, one in enumerate(both, start=1)], margin=margin
    )


def simulate(world: World, *, repetitions: int, seed: int = 0) -> Shares:
    """What becomes of so many draws."""
    rng = np.random.default_rng(seed)
    lines = [_one(world, correct) for correct in (world.draw(rng) for _ in range(repetitions))]
    return Shares(*(float(np.mean(column)) for column in zip(*lines, strict=True)))


def _one(world: World, correct: Bools) -> Sequence[float]:
    effects = judged(correct)
    found = [effect.verdict in (GAIN, LOSS) for effect in effects]
    intervals = [effect.interval or (0.0, 0.0) for effect in effects]
    covers = [low <= world.effect <= high for low, high in intervals]
    halves = [(high - low) / 2 for low, high in intervals]
    differences = correct[1:].mean(axis=2) - correct[0].mean(axis=1)
    by_t = [over_seeds(float(one.mean()), len(one), Spread.of(one)).p_value() <= 0.05 for one in differences]
    pooled = [mcnemar(correct[1].ravel(), correct[0].ravel()) <= 0.05]
    return [float(np.mean(each)) for each in (halves, covers, found, [any(found)], by_t, pooled)]


@click.command()
@click.option("--repetitions", default=600, show_default=True, help="Studies drawn for each line.")
@click.option("--images", default=4000, show_default=True, help="Test images.")
@click.option("--arms", default=5, show_default=True, help="Arms, the baseline among them.")
@click.option("--by-seed", default=0.02, show_default=True, help="Deviation of an arm over seeds.")
@click.option("--effect", default=0.0, show_default=True, help="Points by which all arms beat the baseline.")
def main(repetitions: int, images: int, arms: int, by_seed: float, effect: float) -> None:
    """Prints a table in Markdown."""
    print(f"| {HEADINGS} |\n{'|---' * len(HEADINGS.split('|'))}|")
    for (name, by_image), seeds in product(IMAGE_EFFECTS.items(), (3, 5, 10)):
        world = World(arms, seeds, images, by_image, by_seed, effect / 100)
        half, *shares = vars(simulate(world, repetitions=repetitions)).values()
        cells = [name, str(seeds), f"{100 * half:.2f}", *(f"{100 * share:.1f} %" for share in shares)]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
