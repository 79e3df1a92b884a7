"""Prints the time when the first training step is done, and ends.

`first_step.py kdflow ARGUMENT...` runs as kdflow's command line does, and imports nothing earlier than that;
`first_step.py tutorial FILE` begins the tutorial's training.
"""

import os
import sys
import time
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType


def leave(*_: object) -> None:
    os.write(2, f"first step at {time.time()}\n".encode())
    os._exit(0)


class AtFirstStep:
    """Has the progress display leave at the first step, as soon as something imports it."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != "kdflow.experiments.progress":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        assert spec
        assert spec.loader
        execute = spec.loader.exec_module

        def and_patch(module: ModuleType) -> None:
            execute(module)
            module.TrainingProgress.step = leave

        spec.loader.exec_module = and_patch
        return spec


def run_kdflow(arguments: list[str]) -> None:
    sys.meta_path.insert(0, AtFirstStep())
    sys.argv[1:] = arguments
    from kdflow.cli.main import main

    main()


def run_tutorial(sample: str) -> None:
    from pathlib import Path

    import torch
    from measuring.sample import read
    from measuring.worker import Job
    from programs import tutorial

    data, device = read(Path(sample)), torch.device("cpu")
    training = tutorial.training_of(Job("student", alphas=(1.0,)), len(data.classes), device)
    train, _ = tutorial.loaders(data, device)
    step = training.step

    def first(*batch: torch.Tensor) -> None:
        step(*batch)
        leave()

    training.step = first
    training.epoch(train, device)


if __name__ == "__main__":
    run_tutorial(sys.argv[2]) if sys.argv[1] == "tutorial" else run_kdflow(sys.argv[2:])
