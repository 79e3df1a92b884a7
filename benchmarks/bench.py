"""How fast kdflow is, against other ways to do the same and against what the machine can do.

    python benchmarks/bench.py --dataset digits            # a quarter of an hour on two cores; --quick takes minutes
    python benchmarks/bench.py --device cuda               # on a GPU

Every comparison is between programs that take turns within one run, each in a process of its own that lives as long as
the run, every other round in reversed order: a shared machine's good and bad minutes fall on all alike. Only ratios
are to be trusted; seconds are those of this machine at this time.
"""

import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from measuring import machine, report, sample
from measuring.context import Bench
from measuring.worker import WorkerFailed
from sections import epochs, floor, grid, growth, startup, study, tracking

from kdflow.common.errors import KdflowError
from kdflow.config import STUDENT_RECIPE, DataConfig
from kdflow.data import load

SECTIONS = {
    "epochs": epochs.against_others,
    "study": study.whole_study,
    "cohorts": epochs.cohorts,
    "grid": grid.grid,
    "floor": floor.floor,
    "growth": growth.growth,
    "tracking": tracking.tracking,
    "startup": startup.startup,
    "full-study": study.full_study,
}
BY_DEFAULT = ("epochs", "study", "cohorts", "grid", "floor", "growth", "tracking", "startup")
QUICKLY = ("epochs", "study", "cohorts", "tracking", "startup")
ON_CUDA = ("epochs", "study", "cohorts")
TORCHDISTILL = Path(".venv-torchdistill/bin/python")


@click.command()
@click.option("--dataset", default="digits", show_default=True, help="Data set, as for `kdflow study`.")
@click.option("--data-dir", default="data", show_default=True, help="Where downloaded archives are kept.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--sections", default="", help=f"Some of {','.join(SECTIONS)}.")
@click.option("--steps", default=0, help="Steps of an epoch, of 128 images; default 30, 351 on CUDA, 5 with --quick.")
@click.option("--rounds", default=5, show_default=True, help="Turns of each program.")
@click.option("--quick", is_flag=True, help="Smaller; without torchdistill, floor and growth.")
@click.option("--torchdistill", type=click.Path(path_type=Path), default=TORCHDISTILL, help="Its own Python.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("bench.json"), show_default=True)
def main(**options: Any) -> None:
    """Prints markdown tables and writes their figures as JSON."""
    began = time.monotonic()
    sections = _sections(options)
    if warning := machine.busy():
        click.echo(f"warning: {warning}", err=True)
    with TemporaryDirectory(prefix="kdflow-bench-") as folder:
        bench, facts = _prepare(options, Path(folder))
        print(f"{machine.phrase(facts)}\n")
        found: dict[str, report.Section] = {}
        for name in sections:
            found[name] = _measured(bench, name)
            print(found[name].markdown(), flush=True)
            # What is done is kept.
            report.write(options["out"], {**facts, "minutes": (time.monotonic() - began) / 60}, found)
    print(f"Figures: {options['out']}")
    sys.exit(any(section.failed for section in found.values()))


def _sections(options: dict[str, Any]) -> tuple[str, ...]:
    chosen = tuple(filter(None, options["sections"].split(",")))
    for name in chosen:
        if name not in SECTIONS:
            raise click.BadParameter(f"--sections: there is no {name!r}: choose from {', '.join(SECTIONS)}")
    return chosen or (ON_CUDA if options["device"] == "cuda" else QUICKLY if options["quick"] else BY_DEFAULT)


def _prepare(options: dict[str, Any], folder: Path) -> tuple[Bench, dict[str, Any]]:
    """Reads the data set once, and writes what the programs will read."""
    device, quick = options["device"], options["quick"]
    steps = options["steps"] or (351 if device == "cuda" else 5 if quick else 30)
    dataset = str(Path(options["dataset"]).resolve()) if Path(options["dataset"]).is_dir() else options["dataset"]
    data_dir = str(Path(options["data_dir"]).resolve())
    # No program finds what an earlier run has kept.
    os.environ |= {"XDG_CACHE_HOME": str(folder / "cache"), "MPLCONFIGDIR": str(folder / "matplotlib")}
    began = time.perf_counter()
    data = load(DataConfig(dataset=dataset, data_dir=data_dir))
    load_seconds = time.perf_counter() - began
    part = sample.shrink(data, steps * STUDENT_RECIPE.batch_size)
    sample.write(part, folder / "sample.npz")
    sample.write(data, folder / "whole.npz")
    python = options["torchdistill"]
    missing = ["torchdistill is left out by --quick."] if quick else []
    if not quick and not python.exists():
        missing = [f"torchdistill is left out: {python} is not there; `make bench` sets it up."]
    bench = Bench(
        folder=folder,
        sample=folder / "sample.npz",
        whole=folder / "whole.npz",
        dataset=dataset,
        data_dir=data_dir,
        train=len(part.train),
        images=len(data.train),
        load_seconds=load_seconds,
        device=device,
        rounds=options["rounds"],
        quick=quick,
        torchdistill=None if missing else python.absolute(),  # unresolved: a link is an environment
        missing=missing,
        say=lambda line: click.echo(f"  {line}", err=True),
    )
    return bench, {
        **machine.describe(),
        "dataset": data.name,
        "images": {
            kind: {name: len(getattr(images, name)) for name in sample.SPLITS}
            for kind, images in {"whole": data, "sample": part}.items()
        },
        "rounds": bench.rounds,
        "arguments": {name: options[name] for name in ("device", "sections", "steps", "quick")},
    }


def _measured(bench: Bench, name: str) -> report.Section:
    click.echo(f"{name}:", err=True)
    try:
        return SECTIONS[name](bench)
    except (WorkerFailed, KdflowError, RuntimeError) as error:
        # The other tables are worth having.
        return report.Section(f"{name}: FAILED", (), notes=[str(error)], failed=True)


if __name__ == "__main__":
    main()
