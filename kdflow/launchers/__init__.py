"""Where the jobs of a study run: this machine, Ray."""

from kdflow.common.registry import discover
from kdflow.launchers.base import Ended, Job, Launcher, Place, Watcher, launchers, run

__all__ = ["Ended", "Job", "Launcher", "Place", "Watcher", "launchers", "run"]

discover(__name__, __path__)
