"""What is printed to go on with is what works where it was run."""

import shlex
from pathlib import Path

import pytest

from kdflow.common import mlflow_project
from kdflow.common.text import command

HERE = "kdflow student --resume 0a1b"


@pytest.mark.parametrize("word", ["plain", "a b", "it's", "$(touch x)", "`x`", "b\u00e4r", "", "*", "--x=a;b"])
def test_a_printed_command_is_the_same_words_when_it_is_pasted(word):
    assert shlex.split(command("kdflow", "student", "--dataset", word)) == ["kdflow", "student", "--dataset", word]


def test_in_a_shell_the_command_is_the_shells():
    assert mlflow_project.how_to_go_on("student", "0a1b", "runs", here=HERE) == HERE


def test_under_mlflow_run_the_command_is_one_that_works_from_everywhere(monkeypatch):
    monkeypatch.setattr(mlflow_project, "_project", Path("/home/me/my project"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////home/me/my store.db")
    said = mlflow_project.how_to_go_on("student", "0a1b", "runs", here=HERE)
    first, _, second = said.removesuffix(")").partition(" (or: ")
    assert shlex.split(first) == ["mlflow", "run", "/home/me/my project", "-e", "student", "-P", "resume=0a1b"]
    folder, _, then = second.partition(" && ")
    assert shlex.split(folder) == ["cd", "/home/me/my project"]
    assert shlex.split(then) == ["MLFLOW_TRACKING_URI=sqlite:////home/me/my store.db", *HERE.split()]
    assert "-e" not in mlflow_project.how_to_go_on("study", "0a1b", "runs", here=HERE).split(" (or")[0]


def test_no_password_is_printed_to_be_pasted(monkeypatch):
    monkeypatch.setattr(mlflow_project, "_project", Path("/home/me/project"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@host")
    said = mlflow_project.how_to_go_on("student", "0a1b", "runs", here=HERE)
    assert "secret" not in said
    assert "with MLFLOW_TRACKING_URI set, kdflow" in said


@pytest.mark.parametrize(("runs_dir", "lost"), [("runs", True), ("/home/me/runs", False)])
def test_a_folder_of_runs_that_will_not_last_is_said_with_how_to_keep_it(monkeypatch, tmp_path, runs_dir, lost):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(mlflow_project, "_project", tmp_path / "tmp123")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host")
    said = mlflow_project.how_to_go_on("student", "0a1b", runs_dir, here=HERE)
    assert ("give `-P runs_dir=` a whole path" in said) is lost
    assert (f"-P runs_dir={runs_dir}" in said) is not lost
