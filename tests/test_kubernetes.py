"""The jobs for Kubernetes are what its published schema allows, MLflow's own rendering of the template too.

`make test-containers` installs what this needs: MLflow's backend imports Kubernetes' client, and the schemas are large.
Not covered: a cluster; none was at hand.
"""

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
GRID = DOCKER / "kubernetes-grid.yaml"


def container(job: dict[str, Any]) -> dict[str, Any]:
    [only] = job["spec"]["template"]["spec"]["containers"]
    return dict(only)


def must_be_valid(job: dict[str, Any]) -> None:
    schemas = pytest.importorskip("kubernetes_validate", reason="`make test-containers` installs it")
    schemas.validate(job, schemas.latest_version(), strict=True)


@pytest.fixture(params=["kubernetes-job.yaml", "kubernetes-grid.yaml"])
def job(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(yaml.safe_load((DOCKER / request.param).read_text()))


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The template as MLflow sends it to a cluster for `-e student -P alpha=0.5 -P dataset=digits`."""
    backend = pytest.importorskip("mlflow.projects.kubernetes", reason="`make test-containers` installs what it needs")
    from mlflow.projects import _parse_kubernetes_config
    from mlflow.projects._project_spec import load_project
    from mlflow.projects.utils import get_entry_point_command

    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("KUBE_MLFLOW_TRACKING_URI", "http://mlflow.example.org")
    config = _parse_kubernetes_config(json.loads((DOCKER / "kubernetes-backend.json").read_text()))
    project = load_project(str(DOCKER))
    command = get_entry_point_command(project, "student", {"alpha": "0.5", "dataset": "digits"}, None)
    return dict(
        backend._get_kubernetes_job_definition(
            project.name,
            config["repository-uri"],
            "sha256:" + "0" * 64,
            backend._get_run_command(command),
            {"MLFLOW_RUN_ID": "1", "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000", "MLFLOW_EXPERIMENT_ID": "0"},
            config["kube-job-template"],
        )
    )


def test_a_job_can_do_no_more_than_it_needs(job: dict[str, Any]) -> None:
    pod = job["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 10001
    assert container(job)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounted = {mount["name"]: mount["mountPath"] for mount in container(job)["volumeMounts"]}
    assert (mounted["runs"], mounted["tmp"]) == ("/runs", "/tmp")
    assert set(mounted) == {volume["name"] for volume in pod["volumes"]}


def test_a_job_is_what_the_schema_of_kubernetes_allows(job: dict[str, Any]) -> None:
    must_be_valid(job)


def test_what_mlflow_makes_of_the_template_is_allowed_too(rendered: dict[str, Any]) -> None:
    must_be_valid(rendered)
    assert rendered["metadata"]["name"].startswith("kdflow-")
    assert container(rendered)["image"].startswith("registry.example.org/kdflow@sha256:")
    said = {one["name"]: one["value"] for one in container(rendered)["env"]}
    assert (said["MLFLOW_TRACKING_URI"], said["MLFLOW_RUN_ID"]) == ("http://mlflow.example.org", "1")


def test_what_mlflow_has_a_pod_run_is_a_command_of_kdflow(
    rendered: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from kdflow.cli.main import kdflow
    from kdflow.config import StudentConfig
    from kdflow.experiments import commands

    given: list[StudentConfig] = []
    monkeypatch.setattr(commands, "run_student", given.append)
    python, module, name, *arguments = container(rendered)["command"]
    assert (python, module, name, arguments[0]) == ("python", "-m", "kdflow", "student")
    kdflow.main(arguments, standalone_mode=False)
    [config] = given
    assert (config.alpha, config.data.dataset, config.teacher) == (0.5, "digits", "")


@pytest.mark.parametrize("index", [0, 1])
def test_a_pod_of_a_grid_runs_the_line_of_its_index(index: int, tmp_path: Path) -> None:
    lines = ["printf '%s|' kdflow teacher --epochs 1", "printf '%s|' kdflow cohort --name 'two words'"]
    (tmp_path / "wave").write_text("\n".join(lines) + "\n")
    shell, options, script = container(yaml.safe_load(GRID.read_text()))["command"]
    script = script.replace("/plan", str(tmp_path))
    said = subprocess.run(
        [shell, options, script], env={"JOB_COMPLETION_INDEX": str(index), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said.split("|")[:-1] == shlex.split(lines[index])[2:]
