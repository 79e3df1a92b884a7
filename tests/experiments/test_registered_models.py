"""Registered models: they load without kdflow, take raw images in any number, and give what the run evaluated."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from kdflow.config import DataConfig
from kdflow.data import load

# Run where kdflow cannot be imported: what a stranger with mlflow and torch alone sees.
STRANGER = """
import json, sys
sys.modules["kdflow"] = None
import mlflow.pyfunc, numpy as np
file = np.load(sys.argv[1])
found = {}
for address in sys.argv[2:]:
    model = mlflow.pyfunc.load_model(address, model_config={"device": "cpu"})
    whole = model.predict(file["images"])
    one = model.predict(file["images"][:1])
    found[address] = {
        "accuracy": float((whole.argmax(1) == file["labels"]).mean()),
        "sums": float(abs(whole.sum(1) - 1).max()),
        "alone": float(abs(one - whole[:1]).max()),
    }
    found[address]["served"] = float(abs(model.predict(np.array(file["images"][:1].tolist())) - whole[:1]).max())
    wrong = {
        "floats": file["images"].astype(np.float32),
        "scaled": file["images"] / 255,
        "range": file["images"].astype(np.int64) + 1,
        "one": file["images"][0],
        "channels first": file["images"].transpose(0, 3, 1, 2),
    }
    for kind, images in wrong.items():
        try:
            model.predict(images)
            found[address][kind] = "taken"
        except Exception as error:
            found[address][kind] = str(error)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def loaded(study, store):
    """Scores of every registered version, computed in another process."""
    from mlflow import MlflowClient

    test = load(DataConfig(dataset="digits")).test
    np.savez(store / "test.npz", images=test.images.permute(0, 2, 3, 1).numpy(), labels=test.labels.numpy())
    versions = [
        version
        for name in ("kdflow-teacher-digits", "kdflow-student-digits")
        for version in MlflowClient().search_model_versions(f"name = '{name}'")
    ]
    addresses = {f"models:/{version.name}/{version.version}": version for version in versions}
    addresses["models:/kdflow-student-digits@champion"] = MlflowClient().get_model_version_by_alias(
        "kdflow-student-digits", "champion"
    )
    command = [sys.executable, "-c", STRANGER, str(store / "test.npz"), *addresses]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=store, env=environment)
    assert done.returncode == 0, done.stderr
    return addresses, json.loads(done.stdout.splitlines()[-1])


def test_every_registered_model_scores_its_logged_test_accuracy(loaded, study):
    addresses, scores = loaded
    logged = {row.run_id: row.test_accuracy for row in study.rows}
    ours = {address: version for address, version in addresses.items() if version.run_id in logged}
    assert len(ours) >= len(logged)
    for address, version in ours.items():
        assert scores[address]["accuracy"] == pytest.approx(logged[version.run_id], abs=1e-9)


def test_registered_models_give_probabilities_for_any_number_of_images(loaded):
    for score in loaded[1].values():
        assert score["sums"] < 1e-5
        assert score["alone"] < 1e-5


def test_registered_models_refuse_images_that_are_not_raw_and_say_what_they_take(loaded):
    from kdflow.models.export import FLOATS, OUT_OF_RANGE

    for score in loaded[1].values():
        assert score["floats"] == score["scaled"] == FLOATS
        assert score["range"] == OUT_OF_RANGE
        assert "images_N_32_32_3_with_batch_axis" in score["one"]
        assert "images_N_32_32_3_with_batch_axis" in score["channels first"]
        assert len(score["one"]) < 100, "not a dump of all pixels"


def test_whole_numbers_as_a_server_reads_them_from_json_are_answered_like_raw_images(loaded):
    assert max(score["served"] for score in loaded[1].values()) < 1e-5


def test_the_champion_is_the_best_on_validation_of_the_newest_data_and_split(study, capsys):
    from mlflow import MlflowClient

    from kdflow.experiments.commands import run_student
    from tests.experiments.conftest import student_config

    client, name, split = MlflowClient(), "kdflow-student-digits", "kdflow.split_digest"

    def best_of_its_split(alias):
        versions = client.search_model_versions(f"name = '{name}'")
        champion = client.get_model_version_by_alias(name, alias)
        comparable = [float(one.tags["val_accuracy"]) for one in versions if one.tags[split] == champion.tags[split]]
        assert float(champion.tags["val_accuracy"]) == max(comparable)
        return champion

    before = best_of_its_split("champion")
    assert before.tags[split] == study.split_digest
    capsys.readouterr()
    moved = run_student(student_config(alpha=1, epochs=1, split_seed=3))
    own = f"champion-{study.data_digest[:8]}-{study.split_digest[:8]}"
    assert best_of_its_split("champion").run_id == moved.run_id
    assert best_of_its_split(own).version == before.version, "what does not compare takes nothing from it"
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "@champion" in line]
    assert f"went from split {study.split_digest[:8]} to" in line
    assert f"version {before.version}, the best on the former, is @{own}" in line
    run_student(student_config(alpha=1, epochs=1, seed=8))
    assert best_of_its_split("champion").version == before.version, "the newest run is of the first split again"


def test_versions_are_tagged_with_what_made_them(study):
    from mlflow import MlflowClient

    (version,) = [
        version
        for version in MlflowClient().search_model_versions("name = 'kdflow-student-digits'")
        if version.run_id == study.rows[2].run_id
    ]
    assert version.tags["alpha"] == "0.5"
    assert version.tags["temperature"] == "4"
    assert version.tags["seed"] == "0"
    assert float(version.tags["test_accuracy"]) == round(study.rows[2].test_accuracy, 4)
    assert len(version.tags) <= 8, "few enough to be read"


def test_loading_a_student_needs_no_pickle(study, monkeypatch):
    import mlflow.pytorch
    import torch

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    model = mlflow.pytorch.load_model("models:/kdflow-student-digits@champion")
    with torch.no_grad():
        probabilities = model(torch.zeros(3, 32, 32, 3, dtype=torch.uint8))
    assert probabilities.shape == (3, 10)


@pytest.mark.fault
def test_two_runs_that_register_at_once_get_a_version_each_and_the_better_is_champion(
    study, monkeypatch, record_property
):
    from concurrent.futures import ThreadPoolExecutor

    from mlflow import MlflowClient

    from kdflow.models.weights import read_card
    from kdflow.tracking import experiments
    from kdflow.tracking.model_registry import CHAMPION, _log_model, register
    from kdflow.tracking.store_runs import StoreRuns

    client, name = MlflowClient(), "kdflow-student-of-two"
    runs = [client.create_run(experiments.experiment_id()).info.run_id for _ in range(2)]
    scores = [{"val_accuracy": "0.25"}, {"val_accuracy": "0.75"}]
    monkeypatch.setattr(sys, "stderr", sys.stderr)  # which threads that redirect it at once may leave redirected
    with StoreRuns().weights_of(study.rows[0].run_id) as weights:
        for run_id in runs:  # torch exports in one thread only; processes are in tests/faults/test_many_runs.py
            _log_model(run_id, weights, read_card(weights), {})
        with ThreadPoolExecutor(2) as pool:
            addresses = list(pool.map(lambda run_id, facts: register(run_id, name, weights, facts), runs, scores))
    record_property("faults", 1)
    assert set(addresses) == {f"models:/{name}/1", f"models:/{name}/2"}
    assert client.get_model_version_by_alias(name, CHAMPION).run_id == runs[1]


@pytest.mark.parametrize("tags", [{}, {"val_accuracy": "nan"}, {"val_accuracy": "much"}, {"val_accuracy": "inf"}])
def test_a_version_without_a_sound_score_is_never_champion(tags):
    from types import SimpleNamespace

    from kdflow.tracking.model_registry import _val_accuracy

    assert _val_accuracy(SimpleNamespace(tags=tags)) < _val_accuracy(SimpleNamespace(tags={"val_accuracy": "0"}))
