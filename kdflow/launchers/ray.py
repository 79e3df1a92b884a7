"""Jobs as tasks of a Ray cluster: `pip install kdflow[ray]`."""

import logging
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kdflow.common.errors import KdflowError, UsageError
from kdflow.launchers.base import Ended, Job, Launcher, Place, last_words, launchers
from kdflow.launchers.local import end, process_of

FAILED = 1
"""In place of the exit code of a job that could not be started."""
LOST = -9
"""In place of the exit code of a job whose worker or node was lost."""


@launchers.register("ray")
class OnRay(Launcher):
    """Each job is a task with declared CPUs and GPUs; Ray finds it a node, and says when that is lost.

    Args:
        place: Of the study.

    Raises:
        KdflowError: there is no such cluster.
    """

    def __init__(self, place: Place) -> None:
        import ray

        self._ray, self._place = ray, place
        self._own = not ray.is_initialized()
        address = place.placing.ray_address or os.environ.get("RAY_ADDRESS")
        if self._own:
            try:
                cores = None if address else place.placing.workers or os.cpu_count()
                ray.init(
                    address, num_cpus=cores, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR
                )
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise KdflowError(f"--ray-address {address}: {error}") from error
        self._most = place.placing.workers or 10_000  # Ray itself keeps waiting what it has no room for
        self._running: dict[Any, Job] = {}
        task = ray.remote(num_cpus=place.threads, num_gpus=place.placing.gpus, max_retries=0)
        self._task = task(_work)

    @staticmethod
    def require() -> None:
        """See `Launcher`."""
        if not find_spec("ray"):
            raise UsageError("--on is 'ray': Ray is not installed; pip install 'kdflow[ray]'")

    @property
    def room(self) -> int:
        """See `Launcher`."""
        return self._most - len(self._running)

    def start(self, job: Job) -> None:
        """See `Launcher`."""
        log, environment = self._place.log(job), self._place.environment
        self._running[self._task.remote(job, str(log), environment, str(Path.cwd()))] = job

    def ended(self) -> list[tuple[Job, Ended]]:
        """See `Launcher`."""
        if not self._running:
            return []
        over, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        return [(self._running.pop(task), self._outcome(task)) for task in over]

    def stop(self) -> None:
        """See `Launcher`."""
        for task in self._running:
            self._ray.cancel(task)
        if self._running:
            self._ray.wait(list(self._running), num_returns=len(self._running), timeout=None)

    def close(self) -> None:
        """See `Launcher`; a cluster that was there before stays."""
        if self._own:
            self._ray.shutdown()

    def _outcome(self, task: Any) -> Ended:
        try:
            return Ended(*self._ray.get(task))
        except self._ray.exceptions.RayTaskError as error:  # such as a node without kdflow
            return Ended(FAILED, str(error).strip().splitlines()[-1])
        except self._ray.exceptions.RayError as error:
            return Ended(LOST, f"its worker was lost ({type(error).__name__})")


def _work(job: Job, log: str, environment: dict[str, str], folder: str) -> tuple[int, str]:
    """The task: on whatever node it is, the command line as it is typed; cancelled, it ends after its batch."""
    if Path(folder).is_dir():  # where nodes share it, relative folders mean the same
        os.chdir(folder)
    process = process_of(job, Path(log), environment)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.terminate()
        end(process)
        raise
    return code, last_words(Path(log))
