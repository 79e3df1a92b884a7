"""What MLflow's pages show of a study: names, descriptions, headline numbers, lineage, models ranked on their data.

That they look well was looked at in a browser; what stores do with descriptions is in tests/tracking.
"""

import json
import re

import pytest

from kdflow.config import CompareConfig
from kdflow.journal.journal import Journal
from kdflow.tracking.delivery import COMPARES
from kdflow.tracking.descriptions import NOTE
from kdflow.tracking.run import Run
from tests.experiments.conftest import student_config, study_config

SMALL = {"epochs": 1, "batch_size": 16}


@pytest.fixture(scope="module")
def client(study):
    from mlflow import MlflowClient

    return MlflowClient()


@pytest.fixture(scope="module")
def runs(study, client):
    """The runs of the study, by alpha; the teacher's by None, the study's own by "study"."""
    found = {row.alpha: client.get_run(row.run_id) for row in study.rows}
    return found | {"study": client.get_run(found[None].data.tags["mlflow.parentRunId"])}


def models(client, run):
    return client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")


def of_role(client, role, condition=""):
    from kdflow.tracking.experiments import experiment_id

    return client.search_runs([experiment_id()], f"tags.`kdflow.role` = '{role}'{condition}")


def test_names_tell_runs_apart(runs):
    teacher = runs[None].info.run_id[:8]
    assert {key: run.info.run_name for key, run in runs.items()} == {
        "study": "study digits seed 0",
        None: "teacher small-cnn seed=0",
        1.0: "student alpha=1 seed=0",
        0.5: f"student alpha=0.5 T=4 seed=0 teacher={teacher}",
        0.0: f"student alpha=0 T=4 seed=0 teacher={teacher}",
    }


def test_logged_models_are_named_after_their_runs(runs, client):
    for key in (None, 1.0, 0.5, 0.0):
        (model,) = models(client, runs[key])
        assert model.name == runs[key].info.run_name.replace(".", "_")


def test_models_are_ranked_by_their_final_metrics_on_a_data_set(study, runs, client):
    digest = runs[None].data.tags["kdflow.data_digest"]
    on_test = {"dataset_name": "digits-test", "dataset_digest": digest}
    found = client.search_logged_models(
        [runs[None].info.experiment_id],
        datasets=[on_test],
        order_by=[{"field_name": "metrics.final/test_accuracy", "ascending": False, **on_test}],
    )
    ranked = [model.source_run_id for model in found]
    accuracies = [client.get_run(run_id).data.metrics["final/test_accuracy"] for run_id in ranked]
    assert {row.run_id for row in study.rows} <= set(ranked)
    assert accuracies == sorted(accuracies, reverse=True)
    (model,) = models(client, runs[0.5])
    tied = {metric.key: metric.dataset_name for metric in model.metrics if metric.key.startswith("final/")}
    assert tied == {
        "final/train_accuracy": "digits-train",
        "final/val_accuracy": "digits-validation",
        "final/test_accuracy": "digits-test",
        "final/test_loss": "digits-test",
    }


def test_the_model_of_its_teacher_is_an_input_of_a_student_that_learns_from_one(runs, client):
    (teacher,) = models(client, runs[None])
    for alpha, inputs in ((1.0, []), (0.5, [teacher.model_id]), (0.0, [teacher.model_id])):
        assert [one.model_id for one in runs[alpha].inputs.model_inputs] == inputs


def test_a_run_and_its_version_say_how_good_the_model_is_what_it_takes_and_how_it_is_loaded(study, runs, client):
    import mlflow.pyfunc
    import numpy as np

    (version,) = client.search_model_versions(f"run_id = '{runs[0.5].info.run_id}'")
    text = runs[0.5].data.tags[NOTE]
    assert text == version.description
    (row,) = [row for row in study.rows if row.alpha == 0.5]
    assert text.startswith(f"Test accuracy {100 * row.test_accuracy:.2f} % on the 360 test images of digits")
    assert f"of the teacher, run `{runs[None].info.run_id}`" in text
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    model = mlflow.pyfunc.load_model(re.findall(r'load_model\("(.*)"\)', code)[0], model_config={"device": "cpu"})
    assert model.predict(np.zeros((2, 32, 32, 3), np.uint8)).shape == (2, 10)
    registered = client.get_registered_model(version.name)
    assert f"models:/{version.name}@champion" in registered.description


def test_the_page_of_a_study_has_its_figures_numbers_and_table(study, runs, client):
    own = runs["study"]
    artifacts = {item.path for item in client.list_artifacts(own.info.run_id)}
    assert {"comparison.md", "report.html", "figures", "config.yaml"} <= artifacts
    by_alpha = {row.alpha: row.test_accuracy for row in study.rows}
    assert own.data.metrics == {
        "test/mean/teacher": by_alpha[None],
        "test/mean/alpha 1": by_alpha[1.0],
        "test/mean/alpha 0.5 T 4": by_alpha[0.5],
        "test/mean/alpha 0 T 4": by_alpha[0.0],
        "test/gain/alpha 0.5 T 4": pytest.approx(by_alpha[0.5] - by_alpha[1.0]),
        "test/gain/alpha 0 T 4": pytest.approx(by_alpha[0.0] - by_alpha[1.0]),
    }
    assert f"| {100 * by_alpha[0.5]:.2f} |" in own.data.tags[NOTE]
    assert not of_role(client, "compare", f" and tags.`mlflow.parentRunId` = '{own.info.run_id}'")


def test_the_answer_comes_first_in_a_description(store, tmp_path, client):
    from kdflow.experiments.compare import describe_study
    from kdflow.tracking.outbox import Outbox

    with Run(Outbox(Journal.begin(tmp_path, "compare", {})), "compare", "compare") as run:
        measures = {"mean": {"alpha = 0.5, T = 4, lr=0.1/x": 0.5}}
        describe_study(run, told="It *gains* 1 point.\n\n| a |\n", measures=measures)
    data = client.get_run(run.id).data
    assert data.tags[NOTE].startswith("It *gains* 1 point.\n\n| a |\n\n")
    assert data.metrics == {"test/mean/alpha 0.5 T 4 lr 0.1 x": 0.5}


def test_comparing_the_same_teachers_again_takes_the_place_of_the_comparison_before(study, store, client):
    from kdflow.experiments.commands import run_compare

    config = CompareConfig(teacher=study.rows[0].run_id)
    run_compare(config)
    (first,) = of_role(client, "compare", f" and tags.`{COMPARES}` LIKE '%'")
    again = run_compare(config)
    (second,) = of_role(client, "compare", f" and tags.`{COMPARES}` LIKE '%'")
    assert (second.info.run_id, second.info.status) == (first.info.run_id, "FINISHED")
    assert second.info.end_time > first.info.end_time
    path = client.download_artifacts(second.info.run_id, "comparison.json")
    with open(path, encoding="utf-8") as file:
        assert len(json.load(file)["rows"]) == len(again.rows)


def test_a_comparison_that_is_told_later_takes_the_place_of_the_one_before_too(study, store, client):
    from kdflow.config import KeepingConfig, SyncConfig
    from kdflow.experiments.commands import run_compare
    from kdflow.experiments.sync import run_sync

    run_compare(CompareConfig(teacher=study.rows[0].run_id))
    before = [run.info.run_id for run in of_role(client, "compare", f" and tags.`{COMPARES}` LIKE '%'")]
    run_compare(CompareConfig(teacher=study.rows[0].run_id, keeping=KeepingConfig(offline=True)))
    run_sync(SyncConfig("runs"))
    assert [run.info.run_id for run in of_role(client, "compare", f" and tags.`{COMPARES}` LIKE '%'")] == before


@pytest.mark.usefixtures("small_data")
@pytest.mark.parametrize("said", [RuntimeError("the disk\nis on fire, password=hush"), KeyboardInterrupt()])
def test_a_run_that_broke_off_says_why_and_how_to_go_on_until_it_did(client, monkeypatch, said):
    from kdflow.experiments import training_runs
    from kdflow.experiments.commands import run_student

    seed = 70 + isinstance(said, RuntimeError)

    def fail(*_, **__):
        raise said

    with monkeypatch.context() as patch:
        patch.setattr(training_runs, "_train", fail)
        with pytest.raises(type(said)):
            run_student(student_config(alpha=1, seed=seed, **SMALL))
    (run,) = of_role(client, "student", f" and params.seed = '{seed}'")
    text = run.data.tags[NOTE]
    reason = "the disk is on fire, password=..." if isinstance(said, RuntimeError) else "interrupted"
    assert f"**It broke off:**\n\n    {reason}\n" in text
    assert f"--resume {run.info.run_id}" in text
    assert text.startswith("Student `small-cnn` on colours"), "what it is comes first"
    trained = run_student(student_config(alpha=1, seed=seed, resume=run.info.run_id, **SMALL))
    assert "broke off" not in client.get_run(trained.run_id).data.tags[NOTE]


def test_a_study_is_called_by_its_seeds_and_a_cohort_in_it_by_its_seed():
    from kdflow.experiments import grid

    config = study_config(seeds=(0, 1, 2), cohort_size=2)
    cohort = config.of_seed(1).cohort_config(number=2)
    assert grid.study_name(config, "digits") == "study digits seeds 0-2"
    assert grid.cohort_name(cohort, "digits", of_study=True) == "seed 1, part 2"
    assert grid.cohort_name(cohort, "digits", of_study=False) == "cohort digits seed 1, part 2"


def test_runs_have_the_colour_of_their_alpha(runs):
    from kdflow.reports.styles import alpha_colour

    for key in (None, 1.0, 0.5, 0.0):
        assert runs[key].data.tags["mlflow.runColor"] == alpha_colour(key)
