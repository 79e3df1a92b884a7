"""A run's own `config.yaml` starts the same run again, and `--quiet` leaves what matters."""

import pytest

from tests.experiments.conftest import study_config
from tests.stories import weights

READ = ("--dataset", "digits", "--reuse", "false")
"""What is read in place of the stand-in, which has no name that a command could be given."""
pytestmark = pytest.mark.usefixtures("small_data")


@pytest.fixture
def commands(kdflow):
    """Runs a command that ends well; gives what it said."""

    def run(*arguments):
        said = kdflow(*arguments)
        assert said.code == 0, said.error
        return said.out

    return run


def test_each_run_of_a_study_can_be_run_again_from_its_own_file_to_equal_weights(
    store, commands, capsys, tmp_path, monkeypatch
):
    import torch
    from mlflow import MlflowClient

    from kdflow.experiments.study import run_study

    client = MlflowClient()
    config = study_config(teacher_epochs=1, student_epochs=1, alphas="0", runs_dir=str(tmp_path / "runs"))
    teacher, student = run_study(config).rows
    (study,) = {client.get_run(student.run_id).data.tags["mlflow.parentRunId"]}
    capsys.readouterr()
    for role, run_id in (("teacher", teacher.run_id), ("student", student.run_id)):
        path = client.download_artifacts(run_id, "config.yaml", str(tmp_path))
        said = commands(role, "--config", path, "--runs-dir", str(tmp_path / role), "--quiet", *READ)
        *before, line = said.splitlines()
        assert [one.partition(":")[0] for one in before] == ["teacher"] * (role == "student")
        assert line.startswith(f"{client.get_run(run_id).info.run_name.partition(' teacher=')[0]}: test accuracy ")
        (again,) = client.search_runs(
            [client.get_run(run_id).info.experiment_id],
            f"tags.`kdflow.role` = '{role}'",
            max_results=1,
            order_by=["attributes.start_time DESC"],
        )
        assert again.info.run_id != run_id
        known = client.get_run(run_id).data.params | {"dataset": "digits"}
        assert again.data.params.items() - {("teacher", teacher.run_id)} <= known.items()
        ours, theirs = weights(client, again.info.run_id), weights(client, run_id)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    path = client.download_artifacts(study, "config.yaml", str(tmp_path))
    said = commands("study", "--config", path, "--runs-dir", str(tmp_path / "study"), "--quiet", *READ)
    assert "Accuracy on colours" in said
    assert "report.html" in said
    assert not any(line.startswith(("epoch", "colours:", "Next")) for line in said.splitlines())
