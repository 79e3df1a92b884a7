"""The docker files keep what they promise: locked packages, no root, nothing published beyond this machine.

The build, the stack and studies in it are run for real by `make test-containers`; here the installation steps of the
Dockerfile are run without an engine (slow), and so is the tracking server, in tests/test_servers.py.
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
AUTH: dict[str, Any] = yaml.safe_load((DOCKER / "compose.auth.yaml").read_text())["services"]
SECRETS = re.findall(r"^(\w+)=(.*)$", (DOCKER / ".env.example").read_text(), flags=re.MULTILINE)
STORES = ("postgres", "s3")
OURS = ("mlflow", "kdflow", "kdflow-gpu")
HOSTS = "mlflow:5000,localhost:5000,127.0.0.1:5000"


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile with their arguments, in order."""
    lines = [line for line in (DOCKER / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", "")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line]


def arguments(name: str) -> list[str]:
    return [text for instruction, text in instructions() if instruction == name]


def test_the_base_image_is_pinned_to_a_patch_release() -> None:
    base, *stages = arguments("FROM")
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+ AS base", base)
    assert stages == ["base AS server", "server AS kdflow"]


@pytest.mark.parametrize("name", STORES)
def test_the_images_of_the_stores_are_pinned_to_a_release(name: str) -> None:
    assert re.fullmatch(r"[a-z/]+:\d+\.\d+(-[a-z]+)?", SERVICES[name]["image"])


def test_the_image_does_not_run_as_root() -> None:
    stages = "\n".join(f"{instruction} {text}" for instruction, text in instructions()).split("FROM ")[2:]
    for stage in stages:
        last = [line for line in stage.splitlines()[1:] if line.startswith(("USER", "RUN", "COPY"))][-1]
        assert last == "USER 10001:10001"
    assert "--uid 10001" in " ".join(arguments("RUN"))


def test_the_images_hold_the_locked_packages_and_the_project() -> None:
    server, torch, project = (text for text in arguments("RUN") if "pip install" in text)
    for lock, name in ((server, "without-torch.lock"), (torch, "torch.lock")):
        assert f"--require-hashes --only-binary :all: -r {name}" in lock
        assert f"requirements-server.lock > {name}" in lock
    assert shlex.split(project)[2:] == ["--no-deps", "--no-build-isolation", "."]


def test_the_build_context_is_what_the_image_copies() -> None:
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), flags=re.MULTILINE)
    copied = [source.rstrip("/") for text in arguments("COPY") for source in text.split()[:-1]]
    assert sorted(allowed) == sorted(copied)
    assert all((ROOT / path).exists() for path in copied)


def test_gpus_are_shown_only_where_the_build_asks_for_them() -> None:
    assert "NVIDIA_VISIBLE_DEVICES=void" in arguments("ARG")
    *_, environment = arguments("ENV")
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
    assert service["tmpfs"][0] == "/tmp"
    assert service.get("user") != "root"
    assert not {"privileged", "cap_add", "network_mode", "pid"} & set(service)


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_this_machine_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", STORES)
def test_a_store_is_reached_by_the_server_alone_and_reaches_nothing(name: str) -> None:
    assert SERVICES[name]["networks"] == ["stores"]
    assert COMPOSE["networks"]["stores"] == {"internal": True}
    assert "ports" not in SERVICES[name]
    assert [service for service in OURS if "stores" in SERVICES[service].get("networks", [])] == ["mlflow"]


@pytest.mark.parametrize("name", SERVICES)
def test_volumes_are_named_ones_that_belong_to_the_image_user(name: str) -> None:
    created = next(text for text in arguments("RUN") if "install -d -o kdflow" in text)
    for volume in SERVICES[name].get("volumes", []):
        source, target = volume.split(":")
        assert source in COMPOSE["volumes"]
        assert name in STORES or target in created.split()


def test_no_password_has_a_default() -> None:
    assert {name for name, _ in SECRETS} >= {"POSTGRES_PASSWORD", "S3_SECRET_KEY", "MLFLOW_ADMIN_PASSWORD"}
    assert not [name for name, value in SECRETS if value], ".env.example says no password"
    for file in ("compose.yaml", "compose.auth.yaml"):
        text = (DOCKER / file).read_text()
        said = re.findall(r"(?:PASSWORD|SECRET\w*|KEY): (.*)$", text, flags=re.MULTILINE)
        assert said
        for value in said:
            name, message = re.fullmatch(r"\$\{(\w+):\?(.*)\}", value).groups()  # type: ignore[union-attr]
            assert name in dict(SECRETS)
            assert "docker/.env.example" in message
    assert "docker/.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_server_keeps_runs_in_the_database_and_artifacts_in_the_store() -> None:
    told = SERVICES["mlflow"]["environment"]
    assert told["MLFLOW_BACKEND_STORE_URI"] == "postgresql+psycopg://mlflow@postgres/mlflow"
    assert told["MLFLOW_ARTIFACTS_DESTINATION"] == f"s3://{SERVICES['s3']['environment']['S3_BUCKET']}"
    assert told["MLFLOW_SERVE_ARTIFACTS"] == "true"
    assert SERVICES["mlflow"]["depends_on"] == {name: {"condition": "service_healthy"} for name in STORES}
    assert all(SERVICES[name]["healthcheck"]["test"][0] == "CMD" for name in (*STORES, "mlflow"))


def test_the_server_runs_no_jobs_and_answers_to_its_names() -> None:
    server = SERVICES["mlflow"]
    assert server["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"] == HOSTS
    assert server["environment"]["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert "http://127.0.0.1:5000/health" in server["healthcheck"]["test"][-1]


def test_basic_auth_is_the_same_server_with_users_in_the_same_database() -> None:
    assert AUTH["mlflow"]["command"] == [*SERVICES["mlflow"]["command"], "--app-name=basic-auth"]
    [volume] = AUTH["mlflow"]["volumes"]
    source, target, mode = volume.split(":")
    assert (target, mode) == (AUTH["mlflow"]["environment"]["MLFLOW_AUTH_CONFIG_PATH"], "ro")
    assert SERVICES["mlflow"]["environment"]["MLFLOW_BACKEND_STORE_URI"] in (DOCKER / source).read_text()
    assert "admin_password" not in (DOCKER / source).read_text()
    assert AUTH["kdflow-gpu"] == AUTH["kdflow"]


def test_the_study_waits_for_the_server_and_logs_to_it() -> None:
    study = SERVICES["kdflow"]
    assert study["depends_on"] == {"mlflow": {"condition": "service_healthy"}}
    assert study["environment"]["MLFLOW_TRACKING_URI"].removeprefix("http://") in HOSTS.split(",")
    assert SERVICES["mlflow"]["build"]["target"] == "server"
    assert "target" not in study["build"], "the last stage is the study's"


def test_the_study_prints_links_that_a_browser_on_this_machine_can_open() -> None:
    [port] = SERVICES["mlflow"]["ports"]
    for name in ("kdflow", "kdflow-gpu"):
        assert SERVICES[name]["environment"]["KDFLOW_UI_URL"] == f"http://{port.rpartition(':')[0]}"


def test_what_is_kept_for_the_next_time_is_on_the_volume_of_runs() -> None:
    environment, *_ = arguments("ENV")
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
    environment = {**os.environ, "VIRTUAL_ENV": str(image), "TORCH_INDEX": ""}
    packages = image / "lib" / f"python3.{sys.version_info.minor}"
    for instruction, text in instructions():
        if instruction == "COPY":
            *paths, _ = text.split()
            for path in paths:
                copy = shutil.copytree if (ROOT / path).is_dir() else shutil.copy
                copy(ROOT / path, source / path)
        elif instruction == "RUN" and "pip install" in text:
            here = text.replace("pip install", f"{uv} pip install").replace("/usr/local/lib/python3.*", str(packages))
            subprocess.run(["sh", "-ec", here], cwd=source, env=environment, check=True)
    shutil.rmtree(source)
    for program in ("kdflow", "mlflow"):
        command = [image / "bin" / program, "--help"]
        assert "Usage" in subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
