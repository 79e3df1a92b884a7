"""Runs say which commit they were made with, and if anything was changed since; nothing where it is not known."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import kdflow
from kdflow.tracking import source
from kdflow.tracking.source import COMMIT, DIRTY, source_tags

AUTHOR = {f"GIT_{who}_{what}": "nobody" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True, env=os.environ | AUTHOR
    )
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a package in a repository that does not know it yet."""
    folder = tmp_path / "kdflow"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (tmp_path / "notes.txt").write_text("of somebody else")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "notes.txt")
    git(tmp_path, "commit", "--quiet", "--message", "notes")
    monkeypatch.setattr(kdflow, "__file__", str(folder / "__init__.py"))
    source_tags.cache_clear()
    yield folder
    source_tags.cache_clear()


def committed(package: Path) -> str:
    git(package, "add", ".")
    git(package, "commit", "--quiet", "--message", "all")
    return git(package, "rev-parse", "HEAD")


def test_a_checkout_says_its_commit(package: Path) -> None:
    commit = committed(package)
    assert source_tags() == {COMMIT: commit, DIRTY: "false"}


def test_what_was_changed_since_is_said(package: Path) -> None:
    commit = committed(package)
    (package / "__init__.py").write_text("changed = True")
    assert source_tags() == {COMMIT: commit, DIRTY: "true"}


def test_an_installation_in_the_repository_of_another_project_says_nothing(package: Path) -> None:
    assert source_tags() == {}


def test_without_a_repository_nothing_is_said(package: Path) -> None:
    shutil.rmtree(package.parent / ".git")
    assert source_tags() == {}


@pytest.mark.parametrize("failure", [FileNotFoundError("git"), subprocess.TimeoutExpired("git", 10)])
def test_without_git_or_an_answer_of_it_nothing_is_said(
    package: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fail(*_: object) -> str:
        raise failure

    committed(package)
    monkeypatch.setattr(source, "_git", fail)
    assert source_tags() == {}
