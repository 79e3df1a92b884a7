"""Figures are the same pixels whatever an environment, a settings file or a notebook says about matplotlib."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import pytest

from kdflow.common.errors import KdflowError
from kdflow.reports import drawing, formats
from tests.comparisons import STUDY

ROOT = Path(__file__).parents[2]
DRAW = """
import sys
from kdflow.reports import drawing, formats
from tests.comparisons import STUDY
drawing.require()
sys.stdout.buffer.write(formats.png(formats.accuracy_dots(STUDY)))
"""
STYLE = {
    "text.usetex": True,
    "text.parse_math": False,
    "font.family": ["no such font"],
    "font.size": 30.0,
    "savefig.dpi": 20,
    "savefig.bbox": "tight",
    "savefig.transparent": True,
    "axes.facecolor": "black",
    "axes.grid": True,
}


@pytest.fixture(scope="module")
def drawn() -> bytes:
    return formats.png(formats.accuracy_dots(STUDY))


def draw_in(folder: Path, **environment: str) -> tuple[bytes, str]:
    """What a new process draws with the folder as its own, and what it says."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([sys.executable, "-c", DRAW], capture_output=True, cwd=folder, env=variables, check=False)
    return done.stdout, done.stderr.decode()


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "agg2"])
def test_a_backend_that_is_not_there_is_not_asked_for(tmp_path: Path, drawn: bytes, backend: str) -> None:
    assert draw_in(tmp_path, MPLBACKEND=backend, DISPLAY="") == (drawn, "")


@pytest.mark.parametrize(
    "settings",
    [b"\xff\xfe", b"backend: nonsense\nfoo\nbar: 1\ntext.usetex: maybe\n", b"text.usetex: true\nsavefig.dpi: 20\n"],
    ids=["undecodable", "wrong", "other"],
)
def test_a_settings_file_is_not_followed_wherever_it_lies(tmp_path: Path, drawn: bytes, settings: bytes) -> None:
    (tmp_path / "matplotlibrc").write_bytes(settings)
    assert draw_in(tmp_path) == (drawn, "")


def test_nor_is_one_that_the_environment_names(tmp_path: Path, drawn: bytes) -> None:
    (tmp_path / "mine").write_bytes(b"\xff\xfe")
    assert draw_in(tmp_path, MATPLOTLIBRC=str(tmp_path / "mine")) == (drawn, "")


def test_a_folder_for_settings_that_cannot_be_written_to_is_done_without(tmp_path: Path, drawn: bytes) -> None:
    assert draw_in(tmp_path, MPLCONFIGDIR="/dev/null/nowhere") == (drawn, "")


def test_no_place_at_all_for_what_matplotlib_keeps_is_one_error_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import tempfile\ndef mkdtemp(*_, **__): raise OSError('read-only')\ntempfile.mkdtemp = mkdtemp\n"
    )
    _, said = draw_in(tmp_path, MPLCONFIGDIR="/dev/null/nowhere", PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert "kdflow.common.errors.KdflowError: matplotlib cannot be used: " in said
    assert "set the MPLCONFIGDIR environment variable to a writable directory" in said


@pytest.fixture
def styled() -> Iterator[dict[str, object]]:
    """As a notebook that has chosen a style and a backend."""
    with matplotlib.rc_context():
        before = matplotlib.rcParams._get("backend")
        matplotlib.rcParams.update(STYLE | {"backend": "module://somewhere.else"})
        yield dict(matplotlib.rcParams)
        matplotlib.rcParams._set("backend", before)


def test_the_style_of_a_notebook_changes_no_figure_and_is_as_before_afterwards(
    styled: dict[str, object], drawn: bytes
) -> None:
    assert formats.png(formats.accuracy_dots(STUDY)) == drawn
    assert dict(matplotlib.rcParams) == styled


def test_whether_figures_can_be_drawn_is_asked_before_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from kdflow.config import TeacherConfig, configure
    from kdflow.experiments import session

    def fail() -> None:
        raise KdflowError("no figures here")

    monkeypatch.setattr(drawing, "require", fail)
    monkeypatch.setattr(session, "load", lambda config: pytest.fail("the images were read"))
    with pytest.raises(KdflowError, match="no figures here"):
        session.prepare("teacher", configure(TeacherConfig(), dataset="digits", offline=True, runs_dir=str(tmp_path)))
