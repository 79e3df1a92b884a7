"""Runs kdflow's command line until the first training step is done, prints the time, and ends."""

import os
import time

from kdflow.common import process


def leave(*_: object) -> None:
    os.write(2, f"first step at {time.time()}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    process.prepare()  # before torch, as the command line has it
    from kdflow.experiments.progress import TrainingProgress

    TrainingProgress.step = leave  # type: ignore[method-assign, assignment]
    from kdflow.cli.main import main

    main()
