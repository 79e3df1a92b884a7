"""The tables of a database by their revision, and those of the installed MLflow; MLflow itself is not imported."""

import re
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

REVISION = "SELECT version_num FROM alembic_version"
"""Asks a database for the revision of its tables."""
_DECLARED = re.compile(r'^(down_)?revision = "(\w+)"', re.MULTILINE)


def installed() -> str:
    """The version of the installed MLflow."""
    return version("mlflow")


@cache
def newest() -> str:
    """The revision of the tables of the installed MLflow: the one that precedes no other."""
    known, preceding = _revisions()
    (last,) = known - preceding
    return last


def other_tables(revision: str) -> str:
    """What is wrong with tables of a revision and what to do about it; empty for those of the installed MLflow."""
    if revision == newest():
        return ""
    if revision in _revisions()[0]:
        return (
            f"its tables are of an older MLflow than {installed()} (revision {revision}): stop all that writes to it, "
            "back it up, run `mlflow db upgrade` with its address, and use no older MLflow with it any more"
        )
    return (
        f"its tables are of a newer MLflow than {installed()} (revision {revision}): install the MLflow that wrote "
        "them, or name another store in MLFLOW_TRACKING_URI"
    )


def other_version(server: str) -> str:
    """What to know and do about a server of another version than the installed MLflow; empty if it is the same."""
    if server == installed():
        return ""
    said = f"The server is MLflow {server}, this is MLflow {installed()}"
    if _numbers(server) > _numbers(installed()):
        return f"{said}: if it answers otherwise than expected, install the MLflow of the server"
    return (
        f"{said}: stop the server and all else that writes to its database, back that up, run `mlflow db upgrade` "
        f"with its address and version {installed()}, and start the server with that version"
    )


@cache
def _revisions() -> tuple[frozenset[str], frozenset[str]]:
    """All that the installed MLflow knows, and those of them that precede another."""
    mlflow = find_spec("mlflow")
    assert mlflow
    assert mlflow.origin
    scripts = (Path(mlflow.origin).parent / "store" / "db_migrations" / "versions").glob("*.py")
    declared = [found for script in scripts for found in _DECLARED.findall(script.read_text(encoding="utf-8"))]
    return frozenset(name for down, name in declared if not down), frozenset(name for down, name in declared if down)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]
