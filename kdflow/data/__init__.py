"""Data sets by name: images in memory, split once, identified by digest."""

from kdflow.common.registry import discover
from kdflow.data.base import sources
from kdflow.data.dataset import Dataset, lasting_name, load, require_known, short_name

__all__ = ["Dataset", "lasting_name", "load", "require_known", "short_name", "sources"]

discover(__name__, __path__)
