"""Which tables and servers are of another MLflow, and what is to be done about them."""

import shutil

import pytest
from sqlalchemy import create_engine, text

from kdflow.common.errors import TrackingError
from kdflow.config import DoctorConfig
from kdflow.experiments.doctor import run_doctor
from kdflow.tracking import schema
from kdflow.tracking.store_answer import require_tables
from tests import servers

OLDER, NEWER = "451aebb31d03", "f00dfeedbeef"
UPGRADE = ("older MLflow", "stop all", "back it up", "`mlflow db upgrade`", "no older MLflow")
INSTALL = ("newer MLflow", "install the MLflow that wrote them")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A sqlite store as MLflow makes it."""
    from mlflow import MlflowClient

    file = tmp_path_factory.mktemp("made") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def store(made, tmp_path, monkeypatch):
    shutil.copy(made, tmp_path / "mlflow.db")
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    return address


def revise(address, revision):
    engine = create_engine(address)
    with engine.begin() as database:
        database.execute(text(f"UPDATE alembic_version SET version_num = '{revision}'"))
    engine.dispose()


def test_the_newest_revision_is_the_one_that_mlflow_expects():
    from mlflow.store.db.utils import _get_latest_schema_revision

    assert schema.newest() == _get_latest_schema_revision()
    assert schema.other_tables(schema.newest()) == ""


@pytest.mark.parametrize(("revision", "words"), [(OLDER, UPGRADE), (NEWER, INSTALL)])
def test_the_doctor_says_what_to_do_about_tables_of_another_mlflow_and_leaves_them(store, tmp_path, revision, words):
    revise(store, revision)
    before = (tmp_path / "mlflow.db").read_bytes()
    with pytest.raises(TrackingError) as caught:
        run_doctor(DoctorConfig(str(tmp_path / "runs")))
    assert all(word in str(caught.value) for word in (*words, revision, store))
    assert (tmp_path / "mlflow.db").read_bytes() == before


def test_older_tables_that_mlflow_would_change_unasked_are_left_as_they_are(store, tmp_path):
    engine = create_engine(store)
    with engine.begin() as database:
        database.execute(text("DROP TABLE scheduler_leases"))
    engine.dispose()
    revise(store, OLDER)
    before = (tmp_path / "mlflow.db").read_bytes()
    with pytest.raises(TrackingError, match="older MLflow"):
        require_tables()
    assert (tmp_path / "mlflow.db").read_bytes() == before


def test_a_database_without_tables_is_for_mlflow_to_fill(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'empty.db'}")
    require_tables()


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("2.9.1", "`mlflow db upgrade`"),
        ("3.9.0", "`mlflow db upgrade`"),
        ("3.100.0", "install the MLflow of the server"),
    ],
)
def test_a_server_of_another_version_is_told_with_what_to_do(server, words):
    said = schema.other_version(server)
    assert f"The server is MLflow {server}, this is MLflow {schema.installed()}" in said
    assert words in said
    assert schema.other_version(schema.installed()) == ""


@pytest.mark.parametrize("version", ["3.9.0", "3.100.0"])
def test_the_doctor_tells_the_version_of_the_server(store, tmp_path, monkeypatch, capsys, version):
    from kdflow.tracking import store_answer

    monkeypatch.setattr(store_answer, "server_version", lambda: version)
    run_doctor(DoctorConfig(str(tmp_path / "runs")))
    assert f"The server is MLflow {version}, this is" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.fault
def test_a_postgresql_database_is_known_by_its_tables_and_its_password_is_never_told(monkeypatch, record_property):
    from mlflow import MlflowClient

    with servers.short_folder() as folder:
        database = servers.Database(folder / "postgres")
        database.start()
        secret = database.address.replace("postgres@", "postgres:s3cret@")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", secret)
        require_tables()  # there are none yet
        MlflowClient(secret).search_experiments()
        require_tables()
        record_property("faults", 3)
        for revision, words in ((OLDER, UPGRADE), (NEWER, INSTALL)):
            revise(secret, revision)
            with pytest.raises(TrackingError) as caught:
                run_doctor(DoctorConfig(str(folder / "runs")))
            assert all(word in str(caught.value) for word in (*words, revision, "postgresql"))
            assert "s3cret" not in str(caught.value)
        database.stop()
        with pytest.raises(TrackingError, match="connection") as caught:
            require_tables()
        assert "s3cret" not in str(caught.value)
