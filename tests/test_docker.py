"""The docker files keep what they promise: locked packages, no root, nothing published beyond this machine.

Not covered: the build, which takes minutes and 7 GB; the installation steps of the Dockerfile are run without an engine
(slow), and so is the command of the tracking server, in tests/test_servers.py.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdflow.common.errors import TrackingError
from kdflow.config import TeacherConfig
from kdflow.experiments import session
from kdflow.tracking.container import require_whole_store

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
HOSTS = "mlflow:5000,localhost:5000,127.0.0.1:5000"


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile with their arguments, in order."""
    lines = [line for line in (DOCKER / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", "")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line]


def arguments(name: str) -> list[str]:
    return [text for instruction, text in instructions() if instruction == name]


def test_the_base_image_is_pinned_to_a_patch_release() -> None:
    [base] = arguments("FROM")
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", base)


def test_the_image_does_not_run_as_root() -> None:
    last = [text for instruction, text in instructions() if instruction in ("USER", "RUN", "COPY")][-1]
    assert last == "10001:10001"
    assert "--uid 10001" in " ".join(arguments("RUN"))


def test_the_image_holds_the_locked_packages_and_the_project() -> None:
    lock, project = (text for text in arguments("RUN") if "pip install" in text)
    assert shlex.split(lock)[2:] == ["--require-hashes", "--only-binary", ":all:", "-r", "requirements.lock"]
    assert shlex.split(project)[2:] == ["--no-deps", "--no-build-isolation", "."]


def test_the_build_context_is_what_the_image_copies() -> None:
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), flags=re.MULTILINE)
    copied = [source.rstrip("/") for text in arguments("COPY") for source in text.split()[:-1]]
    assert sorted(allowed) == sorted(copied)
    assert all((ROOT / path).exists() for path in copied)


def test_gpus_are_shown_only_where_the_build_asks_for_them() -> None:
    assert arguments("ARG") == ["NVIDIA_VISIBLE_DEVICES=void"]
    [environment] = arguments("ENV")
    assert {
        "NVIDIA_VISIBLE_DEVICES=${NVIDIA_VISIBLE_DEVICES}",
        "NVIDIA_DRIVER_CAPABILITIES=compute,utility",
    } <= set(environment.split())


def test_mlflow_projects_can_give_the_whole_command() -> None:
    assert arguments("ENTRYPOINT") == []


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_can_do_no_more_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "user"} & set(service)


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_this_machine_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_volumes_are_named_ones_that_belong_to_the_image_user(name: str) -> None:
    created = next(text for text in arguments("RUN") if "install -d -o kdflow" in text)
    for volume in SERVICES[name]["volumes"]:
        source, target = volume.split(":")
        assert source in COMPOSE["volumes"]
        assert target in created.split()


def test_the_server_has_one_worker_no_jobs_and_a_health_check() -> None:
    server = SERVICES["mlflow"]
    assert {"--workers=1", f"--allowed-hosts={HOSTS}", "--serve-artifacts"} <= set(server["command"])
    assert server["environment"]["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert "http://127.0.0.1:5000/health" in server["healthcheck"]["test"][-1]


def test_the_study_waits_for_the_server_and_logs_to_it() -> None:
    study = SERVICES["kdflow"]
    assert study["depends_on"] == {"mlflow": {"condition": "service_healthy"}}
    assert study["environment"]["MLFLOW_TRACKING_URI"].removeprefix("http://") in HOSTS.split(",")
    assert study["image"] == SERVICES["mlflow"]["image"]


def test_the_study_prints_links_that_a_browser_on_this_machine_can_open() -> None:
    [port] = SERVICES["mlflow"]["ports"]
    for name in ("kdflow", "kdflow-gpu"):
        assert SERVICES[name]["environment"]["KDFLOW_UI_URL"] == f"http://{port.rpartition(':')[0]}"


def test_what_is_kept_for_the_next_time_is_on_the_volume_of_runs() -> None:
    [environment] = arguments("ENV")
    assert "XDG_CACHE_HOME=/runs/.cache" in environment.split()
    assert "runs:/runs" in SERVICES["kdflow"]["volumes"]


@pytest.mark.parametrize("address", ["sqlite:///mlflow.db", "sqlite:////data/mlflow.db", "file:///data/mlruns"])
def test_a_local_store_as_a_container_sees_it_is_refused_before_training(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.projects.docker import get_docker_tracking_cmd_and_envs

    _, inside = get_docker_tracking_cmd_and_envs(address)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", inside["MLFLOW_TRACKING_URI"])
    with pytest.raises(TrackingError, match=r"use a server.*MLFLOW_TRACKING_URI=http.* -A network=host"):
        session.prepare("teacher", TeacherConfig())


@pytest.mark.parametrize("address", ["sqlite:///mlflow.db", "sqlite:////mlflow/mlflow.db", "http://mlflow:5000"])
def test_other_stores_are_not_taken_for_such_a_one(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    require_whole_store()


def test_the_docker_project_is_the_project_in_the_image() -> None:
    project = yaml.safe_load((ROOT / "MLproject").read_text())
    in_docker = yaml.safe_load((DOCKER / "MLproject").read_text())
    assert in_docker["entry_points"] == project["entry_points"]
    assert in_docker["name"] == project["name"] == "kdflow"
    assert in_docker["docker_env"] == {"image": SERVICES["kdflow"]["image"], "volumes": ["kdflow_runs:/runs"]}
    assert not {"conda_env", "python_env"} & set(in_docker)


@pytest.mark.slow
def test_the_installation_steps_of_the_dockerfile_work(tmp_path: Path) -> None:
    uv = shutil.which("uv", path=f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}")
    if not uv:
        pytest.skip("uv is missing: pip would take many minutes")
    source, image = tmp_path / "src", tmp_path / "image"
    source.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", image], check=True)
    environment = {**os.environ, "VIRTUAL_ENV": str(image)}
    for instruction, text in instructions():
        if instruction == "COPY":
            *paths, _ = text.split()
            for path in paths:
                copy = shutil.copytree if (ROOT / path).is_dir() else shutil.copy
                copy(ROOT / path, source / path)
        elif instruction == "RUN" and text.startswith("pip install"):
            subprocess.run([uv, *shlex.split(text)], cwd=source, env=environment, check=True)
    shutil.rmtree(source)
    [command] = arguments("CMD")
    result = subprocess.run(
        [image / "bin" / yaml.safe_load(command)[0], "--help"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "study" in result.stdout
