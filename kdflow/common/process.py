"""What a process settles before torch is imported, and how one process is told from another.

It settles how threads wait, how freed memory is kept, what MLflow may load and how long it waits for a server.
"""

import ctypes
import getpass
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Of mallopt(3): from which size on memory is mapped and given back singly, and from which size on a free top is.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP = 1 << 30
_PR_SET_PDEATHSIG = 1  # of prctl(2)
PARENT = "KDFLOW_PARENT"


def prepare() -> None:
    """Settles what cannot be changed once torch runs; what the environment already says is mostly left alone."""
    os.environ.update(_environment())
    _end_with_parent()
    _name_user()
    _keep_freed_memory()


def require_utf8() -> None:
    """Starts this process anew in Python's UTF-8 mode where names of files could be read in ASCII alone.

    Python does so by itself in the C locale, unless it is told not to; folders and classes would then have other names.
    """
    if sys.getfilesystemencoding() == "ascii" and not sys.flags.utf8_mode:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def with_this_process() -> dict[str, str]:
    """The variable that lets a kdflow process end with the one that starts it."""
    return {PARENT: str(os.getpid())}


def _end_with_parent() -> None:
    """Lets Linux ask this process to end when the one that started it is gone; elsewhere it stays."""
    parent = os.environ.pop(PARENT, "")
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if parent and prctl:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(parent):
            os.kill(os.getpid(), signal.SIGTERM)


def _name_user() -> None:
    """A container may run as a user without name and home, for which MLflow and torch would ask in vain."""
    try:
        getpass.getuser()
    except (KeyError, OSError, ImportError):
        os.environ["LOGNAME"] = f"user-{os.getuid()}"
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/dev/null"  # no folder: nothing is kept there, and nothing that others wrote is read


@contextmanager
def lent() -> Iterator[None]:
    """Within this, the environment of a process that is not kdflow's own is settled too; how it keeps memory is not."""
    before = {name: os.environ.get(name) for name in _environment()}
    os.environ.update(_environment())
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _environment() -> dict[str, str]:
    told = {
        # Waiting threads that spin for long steal the core of the thread they wait for.
        "GOMP_SPINCOUNT": "1000",
        # A server over an S3 store offers to send clients there, where it alone may have a way.
        "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "MLFLOW_LOGGING_LEVEL": "ERROR",
    }
    return {name: os.environ.get(name, value) for name, value in told.items()} | {
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",  # whatever was said: nothing here needs it
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # with the password that a store's address may hold
    }


def identity() -> str:
    """This process, among those of all machines and times: host, process id and when it began."""
    return f"{_host()} {os.getpid()} {_beginning(os.getpid())}"


def is_alive(identity: str) -> bool | None:
    """Whether a process is still there; None if it is another machine's."""
    host, pid, beginning = identity.split(" ")
    if host != _host():
        return None
    return _exists(int(pid)) and _beginning(int(pid)) == beginning


def host_of(identity: str) -> str:
    """The machine's name in an identity."""
    return identity.partition(" ")[0].partition("/")[0]


def _host() -> str:
    """The machine, and which of its process ids are seen from here: containers count their own."""
    try:
        return f"{socket.gethostname()}/{os.readlink('/proc/self/ns/pid').strip('pid:[]')}"
    except OSError:
        return socket.gethostname()


def _beginning(pid: int) -> str:
    """When a process began, in ticks since the machine did; "-" where the system does not say, "" of a dead one."""
    try:
        state, *facts = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()
    except OSError:
        return "-"
    return "" if state == "Z" else facts[18]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _keep_freed_memory() -> None:
    """Activations are freed and allocated again each step: without this, glibc gives each back to the system."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it, macOS and musl do not
    if mallopt:
        mallopt(_M_MMAP_THRESHOLD, _KEEP)
        mallopt(_M_TRIM_THRESHOLD, _KEEP)
