"""The servers of `make ui`, `make server` and docker/compose.yaml answer this machine only, by their own names only.

Each is started once, by the very recipe or command, on a free port (slow: MLflow takes half a minute to start).
In its container the server of compose.yaml listens on all addresses; that only this machine reaches it there is what
`ports` says, which tests/test_docker.py reads.
"""

import json
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.servers import free_port, is_well, running, short_folder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"
CREATE = "/api/2.0/mlflow/experiments/create"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """Port and output of the server of `make ui`, whose store's address holds a secret."""
    folder = tmp_path_factory.mktemp("ui")
    (folder / "Makefile").symlink_to(ROOT / "Makefile")
    port = free_port()
    command = ["make", "--old-file", ".venv/.installed", "ui", f"PORT={port}", f"BIN={Path(sys.executable).parent}"]
    store = f"sqlite:///{folder}/mlflow.db?password=s3cret"
    with running(command, port, folder, {"MLFLOW_TRACKING_URI": store}) as output:
        yield port, output


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """Port and output of the server of compose.yaml, which listens where its container publishes it."""
    folder = tmp_path_factory.mktemp("compose")
    server = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]["mlflow"]
    port = free_port()
    # Its stores are those of a small test; that its own are used is what `make test-containers` shows.
    stores = {"MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/mlflow.db", "MLFLOW_ARTIFACTS_DESTINATION": str(folder)}
    told = {
        name: text.replace("5000", str(port)).replace("0.0.0.0", "127.0.0.1")
        for name, text in server["environment"].items()
    }
    with running([sys.executable, "-m", *server["command"]], port, folder, {**told, **stores}) as output:
        yield port, output


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[int, Path]]:
    """Port and output of the server of `make server`, with PostgreSQL behind it."""
    with short_folder() as folder, make_server(folder) as (port, output):
        yield port, output


@contextmanager
def make_server(folder: Path, end: signal.Signals = signal.SIGTERM) -> Iterator[tuple[int, Path]]:
    """Runs `make server` in a folder; yields its port and output."""
    (folder / "Makefile").unlink(missing_ok=True)
    (folder / "Makefile").symlink_to(ROOT / "Makefile")
    port = free_port()
    command = ["make", "--old-file", ".venv/.installed-dev", "server", f"PORT={port}"]
    with running([*command, f"BIN={Path(sys.executable).parent}"], port, folder, {}, end=end) as output:
        yield port, output


@pytest.fixture(params=["made", "served", "composed"])
def server(request: pytest.FixtureRequest) -> int:
    """The port of either server."""
    port, _ = request.getfixturevalue(request.param)
    return int(port)


def status(port: int, path: str = SEARCH, *, body: object = None, **headers: str) -> int:
    """What the server answers to a request; `{port}` in a header is the server's own."""
    given = {name: value.replace("{port}", str(port)) for name, value in headers.items()}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, given)
    if data is not None:
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


def test_a_server_answers_under_its_own_names_only(server: int) -> None:
    for host in ("127.0.0.1:{port}", "localhost:{port}"):
        assert status(server, Host=host) == 200, host
    for host in (
        "evil.com",
        "evil.com:{port}",
        "10.evil.com",
        "10.evil.com:{port}",
        "192.168.evil.com:{port}",
        "172.16.evil.com:{port}",
        "127.0.0.1.evil.com:{port}",
        "localhost.evil.com:{port}",
        "192.168.1.1:{port}",
        "localhost:1",
    ):
        assert status(server, Host=host) == 403, host


def test_the_server_of_compose_answers_the_other_containers(composed: tuple[int, Path]) -> None:
    assert status(composed[0], Host="mlflow:{port}") == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.com", "https://10.evil.com", "http://192.168.evil.com:{port}", "http://localhost.evil.com", "null"],
)
def test_a_foreign_page_cannot_change_anything(server: int, origin: str) -> None:
    name = f"from {origin}"
    assert status(server, CREATE, body={"name": name}, Origin=origin) == 403
    assert status(server, f"/api/2.0/mlflow/experiments/get-by-name?experiment_name={name.replace(' ', '%20')}") == 404


def test_pages_of_the_server_itself_and_programs_can_change_things(server: int) -> None:
    assert status(server, CREATE, body={"name": "page"}, Origin="http://127.0.0.1:{port}") == 200
    assert status(server, CREATE, body={"name": "program"}) == 200


def test_a_server_listens_on_the_loopback_address_only(server: int) -> None:
    listening = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            pytest.skip("this system does not tell who listens")
        rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
        listening += [row[1].split(":") for row in rows if row[3] == "0A"]
    addresses = {address for address, port in listening if int(port, 16) == server}
    assert addresses == {"0100007F"}, "127.0.0.1, lowest byte first"


def test_the_address_of_the_store_is_neither_printed_nor_listed_among_the_processes(made: tuple[int, Path]) -> None:
    _, output = made
    printed = output.read_text()
    assert f"Starting MLflow on http://127.0.0.1:{made[0]}" in printed
    assert "s3cret" not in printed
    assert (output.parent / "mlflow.db").exists(), "the server took the address, so it had the chance"
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes()
        except OSError:
            continue
        assert str(output.parent).encode() not in command or b"s3cret" not in command, command


def test_make_server_ends_both_at_ctrl_c_and_has_everything_when_it_is_started_again() -> None:
    from mlflow import MlflowClient

    with short_folder() as folder:
        with make_server(folder, signal.SIGINT) as (port, output):
            client = MlflowClient(f"http://127.0.0.1:{port}")
            run_id = client.create_run("0").info.run_id
            client.log_text(run_id, "kept", "note.txt")
            assert f"export MLFLOW_TRACKING_URI=http://127.0.0.1:{port}\n" in output.read_text()
        assert not is_well(port)
        assert not (folder / "server" / "postgres" / "postmaster.pid").exists()
        with make_server(folder, signal.SIGHUP) as (port, _):
            client = MlflowClient(f"http://127.0.0.1:{port}")
            assert [file.path for file in client.list_artifacts(run_id)] == ["note.txt"]
