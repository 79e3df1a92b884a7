"""A model as an exported program of PyTorch, which loads without kdflow."""

import io
import json
from collections.abc import Mapping
from typing import Any

import torch

from kdflow.models.export import Servable, example, require_equal

CARD = "card.json"
"""The extra file of the archive that says what the model is: its classes, its data."""


def to_pt2(model: Servable, facts: Mapping[str, Any]) -> bytes:
    """The content of a `.pt2` file, after its program was found to give the model's own probabilities.

    Args:
        model: From raw images `[batch, 32, 32, 3]`, any number of them.
        facts: What becomes its card.

    Raises:
        KdflowError: it gives others.
    """
    program = torch.export.export(model, (example(),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    require_equal(program.module(), model)
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={CARD: json.dumps(facts, indent=2)})
    return buffer.getvalue()
