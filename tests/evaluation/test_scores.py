"""How a model is judged: values by hand, and each split read once."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from kdflow.data import Dataset
from kdflow.data.base import Split
from kdflow.evaluation import scores
from kdflow.evaluation.metrics import Observed, correct, teacher_kl
from kdflow.evaluation.scores import final_evaluation
from kdflow.models.export import Servable

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="scores on CUDA need a CUDA device")


@pytest.fixture
def served(tiny: Callable[..., nn.Module], data: Dataset) -> Servable:
    return Servable(tiny(0), data.mean, data.std)


def score(model: nn.Module, split: Split, **options: torch.device) -> tuple[float, float]:
    """Accuracy and loss."""
    given = scores.score(model, split, "final/test_", **options)  # type: ignore[arg-type]
    return given["final/test_accuracy"], given["final/test_loss"]


def test_correct_answers_are_counted_by_hand() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0], [0.0, -1.0, -2.0], [5.0, 5.5, 6.0]])
    assert correct(Observed(logits, logits.argmax(1), torch.tensor([1, 2, 2]), {}, {})) == 2


def test_the_divergence_of_equal_predictions_is_zero() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0], [0.0, -1.0, -2.0]])
    torch.testing.assert_close(teacher_kl(logits, logits + 7), torch.tensor(0.0), atol=1e-6, rtol=0)


def test_the_divergence_is_that_computed_by_hand_and_not_its_mirror_image() -> None:
    ours, theirs = torch.tensor([[0.5, 0.5], [0.9, 0.1]]), torch.tensor([[0.8, 0.2], [0.3, 0.7]])
    expected = (theirs * (theirs / ours).log()).sum(1).mean()
    torch.testing.assert_close(teacher_kl(ours.log(), theirs.log()), expected)
    mirrored = (ours * (ours / theirs).log()).sum(1).mean()
    assert expected.item() != pytest.approx(mirrored.item())


def test_accuracy_and_loss_are_those_of_the_model_on_raw_images(served: Servable, data: Dataset) -> None:
    images = data.val.images.float() / 255
    normalised = (images - torch.tensor(data.mean).view(3, 1, 1)) / torch.tensor(data.std).view(3, 1, 1)
    logits = served.model(normalised)
    accuracy, loss = score(served, data.val)
    assert accuracy == (logits.argmax(1) == data.val.labels).float().mean().item()
    assert loss == pytest.approx(functional.cross_entropy(logits, data.val.labels).item(), rel=1e-5)


def test_the_size_of_batches_does_not_change_a_score(
    served: Servable, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = score(served, data.train)
    monkeypatch.setattr(scores, "BATCH_SIZE", 7)
    assert score(served, data.train) == pytest.approx(whole)


def test_a_score_is_two_plain_numbers_without_gradients(served: Servable, data: Dataset) -> None:
    assert [type(number) for number in score(served, data.val)] == [float, float]
    assert all(parameter.grad is None for parameter in served.parameters())


@pytest.mark.parametrize("device", [torch.device("cpu"), pytest.param(torch.device("cuda"), marks=needs_cuda)])
def test_accuracy_over_many_batches_is_counted_exactly(
    colours: Callable[[int, int], Split], monkeypatch: pytest.MonkeyPatch, device: torch.device
) -> None:
    class Red(nn.Module):
        def logits(self, images: Tensor) -> Tensor:
            return torch.tensor([0.7, 0.1, 0.1, 0.1], device=images.device).log().expand(len(images), 4)

    monkeypatch.setattr(scores, "BATCH_SIZE", 3)
    split = colours(1001, 0)
    accuracy, loss = score(Red(), split, device=device)
    assert accuracy == 251 / 1001
    assert loss == pytest.approx(-(251 * math.log(0.7) + 750 * math.log(0.1)) / 1001, rel=1e-6)


def test_a_model_that_is_sure_and_wrong_has_a_large_but_finite_loss(data: Dataset) -> None:
    class Sure(nn.Module):
        def logits(self, images: Tensor) -> Tensor:
            return 1e4 * functional.one_hot(torch.zeros(len(images), dtype=torch.int64), 4)

    accuracy, loss = score(Sure(), data.test)
    assert accuracy == 0.25
    assert 10 < loss < 100


def test_final_scores_are_those_of_each_split_and_read_each_once(
    served: Servable, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Different accuracies, so that no split can stand in for another.
    guesses = served(data.train.images.permute(0, 2, 3, 1)).argmax(1)
    data = replace(
        data, train=Split(data.train.images, guesses), test=Split(data.test.images, (data.test.labels + 1) % 4)
    )
    read: list[Split] = []
    batches = scores.in_order

    def spy(split: Split, batch_size: int) -> Iterator[Split]:
        read.append(split)
        return batches(split, batch_size)

    monkeypatch.setattr(scores, "in_order", spy)
    clean = Split((data.val.images + 1) % 255, data.val.labels)
    data = replace(data, clean_val=clean, val_index=torch.arange(100, 100 + len(clean)))
    evaluated = final_evaluation(served, data)
    final, kept = evaluated.scores, evaluated.predictions
    assert [id(split) for split in read] == [id(data.train), id(data.val), id(clean), id(data.test)]
    test_accuracy, test_loss = score(served, data.test)
    assert final == {
        "final/train_accuracy": 1.0,
        "final/val_accuracy": score(served, data.val)[0],
        "final/test_accuracy": test_accuracy,
        "final/test_loss": test_loss,
    }
    for part, split in ((kept.val, clean), (kept.test, data.test)):
        expected = served.logits(split.images.permute(0, 2, 3, 1))
        torch.testing.assert_close(torch.from_numpy(part.logits), expected)
        assert part.labels.tolist() == split.labels.tolist()
    assert kept.val.index.tolist() == list(range(100, 116))
    assert kept.test.index.tolist() == list(range(16))
    assert kept.classes == data.classes
