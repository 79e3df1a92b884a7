"""Who is champion where data and split change, in whatever order the store is told; how folders' models are called."""

import itertools
import json
import os
import shutil
from dataclasses import replace

import pytest

from kdflow.tracking.champion import Candidate, best_first, newest_first, sound

OLD, NEW = ("a" * 32, "s" * 32), ("b" * 32, "s" * 32)


def test_the_best_on_validation_comes_first_and_of_equals_the_one_that_began_first():
    runs = [Candidate(run_id, n, score, OLD) for n, (run_id, score) in enumerate([("a", 0.5), ("b", 0.7), ("c", 0.7)])]
    assert [one.run_id for one in best_first(reversed(runs), OLD)] == ["b", "c", "a"]
    assert best_first(runs, NEW) == []


def test_the_newest_is_what_began_last_and_what_was_told_last_does_not_matter():
    runs = [Candidate("late", 1, 0.9, OLD, version="2"), Candidate("early", 2, 0.1, NEW, version="1")]
    assert [one.run_id for one in newest_first(runs)] == ["early", "late"]


@pytest.mark.parametrize("score", [None, "nan", "much", "inf", float("nan")])
def test_no_score_is_worse_than_any(score):
    assert sound(score) < sound("0")


@pytest.fixture(scope="module")
def trained(study, tmp_path_factory):
    """Three runs that are not registered yet, each with a logged model and its folder of weights: run id to folder."""
    from mlflow import MlflowClient

    from kdflow.models.weights import read_card
    from kdflow.tracking import experiments
    from kdflow.tracking.model_registry import _log_model
    from kdflow.tracking.store_runs import StoreRuns

    root, client, made = tmp_path_factory.mktemp("weights"), MlflowClient(), {}
    with StoreRuns().weights_of(study.rows[0].run_id) as weights:
        for begun, (data, _split) in enumerate([OLD, NEW, OLD], start=1):
            run_id = client.create_run(experiments.experiment_id(), start_time=begun * 1000).info.run_id
            folder = root / run_id
            shutil.copytree(weights, folder)
            card = read_card(folder) | {"data_digest": data, "split_digest": "s" * 32}
            (folder / "card.json").write_text(json.dumps(card))
            _log_model(run_id, folder, card, {})
            made[run_id] = folder
    return made


def aliases(name):
    """Alias to run id."""
    from mlflow import MlflowClient

    client = MlflowClient()
    known = client.get_registered_model(name).aliases
    return {alias: client.get_model_version(name, number).run_id for alias, number in known.items()}


@pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
def test_the_champion_of_the_newest_data_is_the_same_in_whatever_order_the_store_is_told(order, trained, capsys):
    from mlflow import MlflowClient

    from kdflow.tracking.model_registry import register

    first, second, _ = trained
    name = f"kdflow-student-told-{''.join(map(str, order))}"
    for turn in order:
        run_id = (first, second)[turn]
        for version in MlflowClient().search_model_versions(f"run_id = '{run_id}'"):
            MlflowClient().delete_model_version(version.name, version.version)
        register(run_id, name, trained[run_id], {"val_accuracy": ("0.9", "0.1")[turn]})
    assert aliases(name)["champion"] == second
    assert aliases(name)["champion-aaaaaaaa-ssssssss"] == first
    moves = [line for line in capsys.readouterr().out.splitlines() if "went from data aaaaaaaa to bbbbbbbb" in line]
    assert len(moves) == (order == (0, 1)), "told late, the old one was never champion"


@pytest.mark.fault
def test_data_whose_only_run_is_deleted_are_not_the_newest(trained, record_property):
    from mlflow import MlflowClient

    from kdflow.tracking.model_registry import register

    client, name = MlflowClient(), "kdflow-student-deleted"
    first, second, third = trained
    for run_id in trained:
        for version in client.search_model_versions(f"run_id = '{run_id}'"):
            client.delete_model_version(version.name, version.version)
    register(second, name, trained[second], {"val_accuracy": "0.9"})
    client.delete_run(second)
    record_property("faults", 1)
    register(first, name, trained[first], {"val_accuracy": "0.2"})
    assert aliases(name)["champion"] == first
    client.restore_run(second)
    register(third, name, trained[third], {"val_accuracy": "0.1"})
    assert aliases(name)["champion"] == first


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("data", "cat dog"), ("data", "apple banana")),
        (("data", "cat dog"), ("data", "dog cat")),
        (("my data", "cat dog"), ("my-data", "cat dog")),
        (("Data", "cat dog"), ("data", "cat dog")),
        (("data", "cat dog"), ("data", "cat dog owl")),
        (("\N{SNOWMAN}", "cat dog"), ("?", "cat dog")),
        (("x" * 255, "cat dog"), ("x" * 254, "cat dog")),
        ((os.fsdecode(b"caf\xe9"), "cat dog"), ("caf", "cat dog")),
    ],
)
def test_models_of_folders_share_a_name_only_if_name_and_classes_are_the_same(one, other, data):
    from mlflow.utils.validation import _validate_model_name

    from kdflow.tracking.model_registry import registered_name

    def name(of):
        return registered_name("student", replace(data, name=of[0], source=f"/x/{of[0]}", classes=tuple(of[1].split())))

    assert name(one) == name(one) != name(other)
    for given in (one, other):
        _validate_model_name(name(given))
        name(given).encode()
        assert len(name(given)) < 200


def test_a_folder_that_is_called_like_a_known_data_set_does_not_share_its_models(data):
    from kdflow.tracking.model_registry import registered_name

    assert registered_name("teacher", replace(data, name="cifar10", source="cifar10")) == "kdflow-teacher-cifar10"
    assert registered_name("teacher", replace(data, name="cifar10", source="./cifar10")) != "kdflow-teacher-cifar10"
