"""What a model costs: parameters, arithmetic, room on a disk."""

import copy
import io
import logging

import torch
from torch import nn

from kdflow.data.base import IMAGE_SIZE

PARAMETERS = "model_parameters"
SIZES = (PARAMETERS, "model_forward_flops", "model_bytes")


def sizes(model: nn.Module) -> dict[str, int]:
    """All three, by the names of the params that say so of a run."""
    return dict(zip(SIZES, (parameters(model), forward_flops(model), size_on_disk(model)), strict=True))


def parameters(model: nn.Module) -> int:
    """Number of trained weights."""
    return sum(parameter.numel() for parameter in model.parameters())


def size_on_disk(model: nn.Module) -> int:
    """Bytes of its weights in a file."""
    stream = io.BytesIO()
    torch.save(model.state_dict(), stream)
    return stream.tell()


def forward_flops(model: nn.Module) -> int:
    """Operations of one image's forward, in convolutions and matrix products; multiply and add count as two."""
    # On its import it warns where triton is missing, of whose kernels there are none here.
    logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)
    from torch.utils.flop_counter import FlopCounterMode

    probe = copy.deepcopy(model).cpu().eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        probe(torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE))
    return counter.get_total_flops()
