"""A function of tensors as a CUDA graph: one launch instead of hundreds."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import torch
from torch import Tensor

Output = TypeVar("Output", Tensor, Mapping[str, Tensor])
Shapes = tuple[torch.Size, ...]

WARM_UP = 3
"""Ordinary calls before recording, in which libraries choose their algorithms and optimisers make their state."""


class Graphed(Generic[Output]):
    """Calls a function on CUDA: it is recorded at the fourth call, and only replayed from then on.

    The function must do the same work each time, without waiting for the device. Tensors of other shapes make a
    recording of their own.

    Args:
        function: Takes and gives tensors on the current CUDA device.
    """

    def __init__(self, function: Callable[..., Output]) -> None:
        self._function: Callable[..., Output] = function
        self._calls: Counter[Shapes] = Counter()
        self._recordings: dict[Shapes, _Recording[Output]] = {}

    def __call__(self, *inputs: Tensor) -> Output:
        """The function's result."""
        shapes = tuple(tensor.shape for tensor in inputs)
        self._calls[shapes] += 1
        if self._calls[shapes] <= WARM_UP:
            return self._aside(*inputs)
        if shapes not in self._recordings:
            self._recordings[shapes] = _Recording(self._function, inputs)
        return self._recordings[shapes].replay(inputs)

    def _aside(self, *inputs: Tensor) -> Output:
        """A call on a stream of its own, as recording needs it (torch's notes on CUDA graphs)."""
        stream, current = torch.cuda.Stream(), torch.cuda.current_stream()
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            output = self._function(*inputs)
        current.wait_stream(stream)
        return output


class _Recording(Generic[Output]):
    """A function's work on tensors in fixed places."""

    def __init__(self, function: Callable[..., Output], inputs: tuple[Tensor, ...]) -> None:
        self._inputs = tuple(tensor.clone() for tensor in inputs)
        self._graph = torch.cuda.CUDAGraph()
        self._output: Output
        with torch.cuda.graph(self._graph):
            self._output = function(*self._inputs)

    def replay(self, inputs: tuple[Tensor, ...]) -> Output:
        for place, value in zip(self._inputs, inputs, strict=True):
            place.copy_(value)
        self._graph.replay()
        return _copy(self._output)


def _copy(output: Output) -> Output:
    """The next replay overwrites what this one gave."""
    if isinstance(output, Tensor):
        return output.clone()
    return {name: tensor.clone() for name, tensor in output.items()}
