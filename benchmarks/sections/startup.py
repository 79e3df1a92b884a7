"""From command to first training step, each time in a new process."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measuring.context import Bench
from measuring.report import MEASURED, Section, Target
from measuring.stats import spread
from measuring.worker import BENCHMARKS, worker_environment

NOTE = (
    "First step: of `kdflow student --alpha 1`. Warm: the cache folder and the store exist; cold: neither does. The "
    "tutorial reads ready arrays of the whole data set, without decoding, and tracks nothing."
)
FIRST_STEP = [sys.executable, str(BENCHMARKS / "programs" / "first_step.py")]


def startup(bench: Bench) -> Section:
    """Seconds."""
    kept = _folder(bench)
    programs: dict[str, Callable[[], float]] = {
        "`kdflow --help`": _help,
        "first step, kdflow, warm": lambda: _kdflow(bench, kept),
        "first step, kdflow, cold": lambda: _kdflow(bench, _folder(bench)),
        "first step, tutorial": lambda: _first_step(["tutorial", str(bench.whole)], {}),
    }
    bench.say("filling the cache")
    _kdflow(bench, kept)
    _help()
    times: dict[str, list[float]] = {name: [] for name in programs}
    rounds = 1 if bench.quick else bench.rounds
    for number in range(rounds):
        bench.say(f"round {number + 1} of {rounds}")
        for name in reversed(programs) if number % 2 else programs:
            times[name].append(programs[name]())
    section = Section("Start-up", MEASURED, notes=[NOTE])
    targets = {
        "`kdflow --help`": Target(0.5, " s", at_least=False),
        "first step, kdflow, warm": Target(10, " s", at_least=False),
    }
    for name, measured in times.items():
        section.add(name, spread(measured), unit=" s", target=targets.get(name))
    return section


def _help() -> float:
    began = time.perf_counter()
    command = [str(Path(sys.executable).with_name("kdflow")), "--help"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _kdflow(bench: Bench, folder: Path) -> float:
    options = ["--dataset", bench.dataset, "--data-dir", bench.data_dir, "--device", bench.device]
    environment = {"XDG_CACHE_HOME": str(folder), "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    return _first_step(["kdflow", "student", "--alpha", "1", *options], environment)


def _first_step(arguments: list[str], environment: dict[str, str]) -> float:
    began = time.time()
    done = subprocess.run(
        [*FIRST_STEP, *arguments], env=worker_environment(environment), capture_output=True, text=True, check=False
    )
    at = [line.rpartition(" ")[2] for line in done.stderr.splitlines() if line.startswith("first step at ")]
    if not at:
        raise RuntimeError(f"{' '.join(arguments)}: no first step; {done.stderr.strip().splitlines()[-1:]}")
    return float(at[0]) - began


def _folder(bench: Bench) -> Path:
    return Path(tempfile.mkdtemp(prefix="start-", dir=bench.folder)).resolve()
