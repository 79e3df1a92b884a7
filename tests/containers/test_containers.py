"""docker/ for real: the images are built, the compose stack runs, studies and MLflow projects run in it.

`make test-containers` runs this where podman or docker works. Not covered: GPUs, SeaweedFS and PostgreSQL's own image
where no registry can be reached (see `engine.py`), Docker's own engine where podman is there.
"""

import secrets
import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml

from tests.containers.engine import ROOT, STAND_INS, Engine, docker_socket, finished, run, wait_until
from tests.servers import is_well

pytestmark = pytest.mark.containers

SERVER = "http://127.0.0.1:5000"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
CONFINED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")
QUICK = ("--dataset", "digits", "--teacher-epochs", "1", "--student-epochs", "1")
SECRETS = {
    name: secrets.token_hex(12)
    for name in ("POSTGRES_PASSWORD", "S3_SECRET_KEY", "MLFLOW_ADMIN_PASSWORD", "MLFLOW_SIGNING_KEY")
}


@pytest.fixture(scope="module")
def engine() -> Engine:
    """The engine, with the images of kdflow and of its server."""
    engine = Engine.found()
    for target in ("server", "kdflow"):
        image = "kdflow" if target == "kdflow" else f"kdflow-{target}"
        engine.build(ROOT, image, "--file=docker/Dockerfile", f"--target={target}")
    return engine


@pytest.fixture(scope="module")
def stack(engine: Engine) -> list[str]:
    """The command of compose, for a project of its own."""
    files = [ROOT / "docker" / "compose.yaml"]
    if not all(engine.has(COMPOSE["services"][name]["image"]) for name in ("postgres", "s3")):
        files.append(STAND_INS / "compose.yaml")
        for name in ("postgres", "s3"):
            engine.build(STAND_INS, f"kdflow-stand-in-{name}", f"--target={name}")
    return [*engine.compose, "--project-name=kdflow-test", *(f"--file={file}" for file in files)]


@pytest.fixture(scope="module")
def server(engine: Engine, stack: list[str]) -> Iterator[Engine]:
    """The engine while the stack's server runs."""
    assert not is_well(5000), "port 5000 is taken"
    try:
        run(*stack, "up", "--detach", "--no-build", "mlflow", **SECRETS)
        wait_until(lambda: is_well(5000), 180)
        yield engine
    finally:
        run(*stack, "down", "--volumes", **SECRETS)


def in_container(engine: Engine, *command: str) -> str:
    """What a command prints in a container of kdflow's image, beside the stack, with its volume of runs."""
    told = COMPOSE["services"]["kdflow"]["environment"]
    beside = (
        "--network=kdflow-test_default",
        "--volume=kdflow-test_runs:/runs",
        *(f"--env={n}={v}" for n, v in told.items()),
    )
    return engine("run", "--rm", *CONFINED, *beside, "kdflow", *command)


def runs(role: str) -> list[Any]:
    """All runs of a role that the server knows."""
    client = mlflow.MlflowClient(SERVER)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments, f"tags.`kdflow.role` = '{role}'"))


@pytest.mark.parametrize(("image", "gigabytes"), [("kdflow-server", 1.3), ("kdflow", 5.8)])
def test_an_image_is_no_larger_than_the_docs_say(engine: Engine, image: str, gigabytes: float) -> None:
    assert int(engine("image", "inspect", "--format={{.Size}}", image)) < gigabytes * 1e9


@pytest.mark.parametrize("missing", ["POSTGRES_PASSWORD", "S3_SECRET_KEY"])
def test_nothing_starts_without_a_password(engine: Engine, stack: list[str], missing: str) -> None:
    done = finished(*stack, "up", "--detach", "--no-build", "mlflow", **{**SECRETS, missing: ""})
    assert done.returncode != 0
    assert missing in done.stdout
    assert "docker/.env.example" in done.stdout
    assert "kdflow-test" not in engine("ps", "--all", "--format={{.Names}}")


def test_every_part_of_the_stack_is_healthy(server: Engine, stack: list[str]) -> None:
    for name in ("postgres", "s3", "mlflow"):
        test = COMPOSE["services"][name]["healthcheck"]["test"][1:]
        run(*stack, "exec", "-T", name, *test, **SECRETS)


def test_only_the_server_reaches_the_stores_and_they_reach_nothing(server: Engine, stack: list[str]) -> None:
    look = "import socket; socket.gethostbyname('{}')"
    run(*stack, "exec", "-T", "mlflow", "python", "-c", look.format("postgres"), **SECRETS)
    with pytest.raises(AssertionError, match="gaierror"):
        in_container(server, "python", "-c", look.format("postgres"))
    out = "import socket; socket.create_connection(('192.0.2.1', 80), 3)"
    beside = ("--rm", "--network=kdflow-test_stores", "kdflow-server")
    assert "Network is unreachable" in finished(server.name, "run", *beside, "python", "-c", out).stdout


def test_a_study_in_the_stack_is_whole(server: Engine, stack: list[str]) -> None:
    said = run(*stack, "run", "--rm", "-T", "kdflow", "kdflow", "study", *QUICK, **SECRETS)
    assert "Warning" not in said
    assert f"{SERVER}/#/compare-runs" in said
    assert [student.info.status for student in runs("student")] == ["FINISHED"] * 3
    assert runs("student")[0].info.artifact_uri.startswith("mlflow-artifacts:")


def test_a_grid_of_two_seeds_runs_on_two_containers(server: Engine) -> None:
    grid = (*QUICK, "--seeds", "10-11", "--alphas", "1,0")
    in_container(server, "kdflow", "study", *grid, "--plan", "/runs/plan.txt")
    waves = in_container(server, "cat", "/runs/plan.txt").split("\n\n")
    jobs = [[line for line in wave.splitlines() if line and not line.startswith("#")] for wave in waves]
    assert [len(wave) for wave in jobs if wave] == [2, 2]
    with ThreadPoolExecutor(2) as pool:
        for wave in jobs:
            list(pool.map(lambda line: in_container(server, *shlex.split(line)), wave))
    said = in_container(server, "kdflow", "study", *grid, "--threads", "1")
    assert "train/loss" not in said
    of_grid = [one for role in ("teacher", "student") for one in runs(role) if one.data.params["seed"] in ("10", "11")]
    assert sorted(one.data.tags["kdflow.role"] for one in of_grid) == ["student"] * 4 + ["teacher"] * 2
    assert {one.info.status for one in of_grid} == {"FINISHED"}


def test_a_project_of_mlflow_runs_in_the_image(server: Engine, tmp_path: Path) -> None:
    before = len(runs("student"))
    project = ("mlflow", "run", "docker", "-e", "student", "-P", "alpha=1", "-P", "dataset=digits", "-P", "epochs=1")
    with docker_socket(server, tmp_path) as environment:
        run(*project, "-P", "seed=20", "-A", "network=host", MLFLOW_TRACKING_URI=SERVER, **environment)
    assert len(runs("student")) == before + 1


def test_what_was_logged_outlives_the_stack(server: Engine, stack: list[str]) -> None:
    before = {one.info.run_id for one in runs("student")}
    run(*stack, "restart", "postgres", "mlflow", **SECRETS)
    wait_until(lambda: is_well(5000), 180)
    assert {one.info.run_id for one in runs("student")} == before


def test_with_basic_auth_only_who_has_a_password_is_answered(server: Engine, stack: list[str]) -> None:
    guarded = [*stack, f"--file={ROOT / 'docker' / 'compose.auth.yaml'}"]
    run(*stack, "down", **SECRETS)
    assert "MLFLOW_ADMIN_PASSWORD" in finished(*guarded, "up", **{**SECRETS, "MLFLOW_ADMIN_PASSWORD": ""}).stdout
    run(*guarded, "up", "--detach", "--no-build", "mlflow", **SECRETS)
    wait_until(lambda: is_well(5000), 180)
    ask = ("kdflow", "python", "-c", "import mlflow; print(mlflow.get_experiment_by_name('Default').name)")
    asked = (*guarded, "run", "--rm", "-T", "--no-deps")
    assert run(*asked, *ask, **SECRETS).split()[-1] == "Default"
    assert "not authenticated" in finished(*asked, "-e", "MLFLOW_TRACKING_PASSWORD=x", *ask, **SECRETS).stdout
