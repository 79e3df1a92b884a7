"""Any torchvision classification model, by its torchvision name."""

from difflib import get_close_matches

from torch import nn

from kdflow.common.errors import UsageError

PREFIX = "torchvision:"


def torchvision_model(name: str, classes: int) -> nn.Module:
    """A torchvision model without weights; auxiliary heads, which would change the output, are left off.

    Args:
        name: `torchvision:` and a name from `torchvision.models.list_models(torchvision.models)`.
        classes: Number of logits.

    Raises:
        UsageError: torchvision has no such classification model.
    """
    import torchvision  # takes seconds and 200 MB, which no other model should cost

    short, names = name.removeprefix(PREFIX), _names()
    if short not in names:
        near = get_close_matches(short, names, n=1) or ["resnet18"]
        raise UsageError(f"torchvision has no classification model {short!r}: did you mean {PREFIX}{near[0]}?")
    builder = torchvision.models.get_model_builder(short)
    extra = {"aux_logits": False, "init_weights": True} if short in ("googlenet", "inception_v3") else {}
    return builder(weights=None, num_classes=classes, **extra)


def named_alike(name: str) -> str | None:
    """torchvision's name for what was written without its prefix, such as "resnet18" or "ResNet-18"; None if none."""
    spelled = {_letters(one): one for one in _names()}
    return spelled.get(_letters(name))


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _names() -> list[str]:
    import torchvision

    return torchvision.models.list_models(torchvision.models)
