"""Does the fast arithmetic cost accuracy? Each seed trained twice, by default settings and in exact float32.

    python benchmarks/accuracy.py --dataset digits --seeds 0,1,2 --teacher-epochs 20 --epochs 10 --out accuracy.json

For each seed a teacher is trained in both ways, and three students in both ways from the teacher of the fast way, all
pairs from the same weights. The file of results is written after each training: a run that was interrupted goes on
where it stopped.
"""

from pathlib import Path
from typing import Any

import click

from kdflow.common import process
from kdflow.common.errors import KdflowError


@click.command()
@click.option("--dataset", default="digits", show_default=True, help="Data set, as for `kdflow study`.")
@click.option("--data-dir", default="data", show_default=True, help="Where downloaded archives are kept.")
@click.option("--seeds", default="0,1,2", show_default=True, help="Seeds; each is one pair of every model.")
@click.option("--teacher-epochs", default=20, show_default=True, help="Epochs of the teachers.")
@click.option("--epochs", default=10, show_default=True, help="Epochs of the students.")
@click.option("--images", default=0, show_default=True, help="Training images; 0 takes all.")
@click.option("--threads", default=0, show_default=True, help="CPU threads; 0 leaves the choice to kdflow.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("accuracy.json"), show_default=True)
def main(seeds: str, data_dir: str, out: Path, **options: Any) -> None:
    """Prints a markdown table, one row a model."""
    process.prepare()
    # Only now torch, which reads the environment.
    from measuring import pairs

    settings, chosen = pairs.Settings(**options), [int(seed) for seed in seeds.split(",")]
    try:
        results = pairs.measure(settings, chosen, out, data_dir=data_dir, say=lambda line: click.echo(line, err=True))
    except (ValueError, KdflowError) as error:
        raise click.ClickException(str(error)) from None
    what = "accuracies in %, means over seeds; difference: fast minus fp32, 95 % t-interval over seeds."
    print(f"\n{settings.dataset}: {what}\n")
    print(pairs.table(results))


if __name__ == "__main__":
    main()
