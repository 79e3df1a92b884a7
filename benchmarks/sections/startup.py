"""From command to first training step, each time in a new process."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from measuring.context import Bench
from measuring.report import MEASURED, Section, Target
from measuring.stats import spread
from measuring.worker import BENCHMARKS, turn, worker_environment

NOTE = "First step: of `kdflow student --alpha 1`. Warm: the cache folder and the store exist; cold: neither does."
HELP, WARM, COLD = "`kdflow --help`", "first step, warm", "first step, cold"
TARGETS = {HELP: Target(0.5, " s", at_least=False), WARM: Target(10, " s", at_least=False)}


def startup(bench: Bench) -> Section:
    """Seconds."""
    kept = _folder(bench)
    programs: dict[str, Callable[[], float]] = {
        HELP: _help,
        WARM: lambda: _first_step(bench, kept),
        COLD: lambda: _first_step(bench, _folder(bench)),
    }
    bench.say("filling the cache")
    programs[WARM]()
    programs[HELP]()
    times: dict[str, list[float]] = {name: [] for name in programs}
    rounds = 1 if bench.quick else bench.rounds
    for number in range(rounds):
        bench.say(f"round {number + 1} of {rounds}")
        for name in turn(list(programs), number):
            times[name].append(programs[name]())
    section = Section("Start-up", MEASURED, notes=[NOTE])
    for name, measured in times.items():
        section.add(name, spread(measured), unit=" s", target=TARGETS.get(name))
    return section


def _help() -> float:
    began = time.perf_counter()
    command = [str(Path(sys.executable).with_name("kdflow")), "--help"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _first_step(bench: Bench, folder: Path) -> float:
    command = [sys.executable, str(BENCHMARKS / "programs" / "first_step.py"), "student", "--alpha", "1"]
    command += ["--dataset", bench.dataset, "--data-dir", bench.data_dir, "--device", bench.device]
    environment = {"XDG_CACHE_HOME": str(folder), "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    began = time.time()
    done = subprocess.run(
        command, cwd=folder, env=worker_environment(environment), capture_output=True, text=True, check=False
    )
    at = [line.rpartition(" ")[2] for line in done.stderr.splitlines() if line.startswith("first step at ")]
    if not at:
        raise RuntimeError(f"{' '.join(command)}: no first step; {done.stderr.strip().splitlines()[-1:]}")
    return float(at[0]) - began


def _folder(bench: Bench) -> Path:
    return Path(mkdtemp(prefix="start-", dir=bench.folder)).resolve()
