"""What a process settles before torch is imported: how threads wait, how freed memory is kept, what MLflow may load."""

import ctypes
import os

# Of mallopt(3): from which size on memory is mapped and given back singly, and from which size on a free top is.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP = 1 << 30


def prepare() -> None:
    """Settles what cannot be changed once torch runs; what the environment already says is left alone."""
    # Waiting threads that spin for long steal the core of the thread they wait for.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Activations are freed and allocated again each step: without this, glibc gives each back to the system."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it, macOS and musl do not
    if mallopt:
        mallopt(_M_MMAP_THRESHOLD, _KEEP)
        mallopt(_M_TRIM_THRESHOLD, _KEEP)
