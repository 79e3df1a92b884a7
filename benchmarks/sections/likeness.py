"""Whether default settings learn as well as exact float32: small; `benchmarks/accuracy.py` is the large one."""

import json
import subprocess
import sys
from pathlib import Path

from measuring.context import Bench
from measuring.report import Section
from measuring.worker import BENCHMARKS

SEEDS = "0,1,2"


def likeness(bench: Bench) -> Section:
    """A few epochs on some images; a check that nothing is badly wrong, not a proof of equality."""
    from measuring.pairs import ARMS, differences, members, table

    few = bench.train if bench.device == "cuda" else min(bench.train, 1280)
    images, teacher_epochs, epochs = (256, 1, 1) if bench.quick else (few, 2, 3)
    out = bench.folder / "accuracy.json"
    bench.say(f"training seeds {SEEDS} twice")
    options = {
        "--dataset": bench.dataset,
        "--data-dir": bench.data_dir,
        "--device": bench.device,
        "--seeds": SEEDS,
        "--images": str(images),
        "--teacher-epochs": str(teacher_epochs),
        "--epochs": str(epochs),
        "--out": str(out),
    }
    command = [sys.executable, str(BENCHMARKS / "accuracy.py"), *(part for pair in options.items() for part in pair)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"accuracy.py: {done.stderr.strip().splitlines()[-1:]}")
    results = json.loads(out.read_text(encoding="utf-8"))["seeds"]
    lines = [line.strip("| ").split(" | ") for line in table(results).splitlines()]
    section = Section("Accuracy: default settings against exact float32", lines[0], rows=lines[2:])
    section.notes.append(
        f"{images:,} images of {Path(bench.dataset).name}, {teacher_epochs} and {epochs} epochs, seeds {SEEDS}; "
        f"accuracies in %, difference {ARMS[0]} minus {ARMS[1]} with a 95 % t-interval. Full trainings are measured by "
        "`benchmarks/accuracy.py`."
    )
    for member in members(results):
        for split in ("val", "test"):
            section.figures[f"{member}, {split}"] = differences(results, member, split)
    return section
