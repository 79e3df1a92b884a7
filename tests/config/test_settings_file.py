"""Options in a YAML file: what is typed goes before, and what is no table of options is refused in one line.

That a run's own file starts the same run again is tests/experiments/test_same_again.py's.
"""

import pytest

from kdflow.config import StudentConfig, StudyConfig, TeacherConfig, configure
from kdflow.config.settings_file import read, text
from kdflow.experiments import commands, study


@pytest.mark.parametrize("command", ["study", "teacher", "student", "cohort", "compare"])
def test_each_command_takes_its_options_from_a_file_and_what_is_typed_goes_before(
    monkeypatch, kdflow, tmp_path, command
):
    seen = []
    monkeypatch.setattr(study if command == "study" else commands, f"run_{command}", seen.append)
    (tmp_path / "a b.yaml").write_text("dataset: digits\nruns_dir: here\n", encoding="utf-8")
    typed = [command, "--runs-dir", "there", "--config", str(tmp_path / "a b.yaml")]
    assert kdflow(*typed).line == (0, "")
    assert seen[0].keeping.runs_dir == "there"
    assert (seen[0].dataset if command == "compare" else seen[0].data.dataset) == "digits"


@pytest.mark.parametrize(
    "config",
    [
        TeacherConfig(),
        configure(StudentConfig(), lr=1e-6, weight_decay="1e-05", flip=False, knobs="a=1,b=2", teacher="0123"),
        configure(StudentConfig(), dataset="/tmp/b\u00e4r: #1 'x'", teacher="models:/m@champion"),
        configure(StudyConfig(), alphas="1,0.25", temperatures=3),
    ],
)
def test_what_is_written_is_read_again(tmp_path, config):
    path = tmp_path / "config.yaml"
    path.write_text(text("study", config), encoding="utf-8")
    assert configure(type(config)(), **read(str(path), type(config)())) == config


def test_what_is_settled_by_now_goes_before():
    assert "teacher: abc\n" in text("student", StudentConfig(), teacher="abc")
    assert "runs_dir" not in text("student", StudentConfig()), "where it is kept is not what it is"


@pytest.mark.fault
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"alpah: 1", "there is no option 'alpah': choose from alpha"),
        (b"alpah: 1", "did you mean alpha?"),
        (b"student_lr: 1", "did you mean lr?"),
        (b"alphas: 1", "did you mean alpha?"),
        (b"1: 1", "there is no option 1"),
        (b"alpha: 2", "--alpha is '2': give a number from 0 to 1"),
        (b"alpha: [0, 1]", "--alpha is '0,1'"),
        (b"epochs: 2.5", "--epochs is '2.5'"),
        (b"recipe: {epochs: 3}", "there is no option 'recipe'"),
        (b"epochs: {first: 3}", "--epochs is no single value"),
        (b"model:", "--model is empty"),
        (b"model: 5", "--model is '5': give a text"),
        (b"lr: 1\nlr: 2", "lr stands there twice"),
        (b"- alpha\n- lr", "give a table of options"),
        (b"", "give a table of options"),
        (b"alpha", "give a table of options"),
        (b"alpha: [1", "is no YAML"),
        (b"alpha: 1\n---\nalpha: 0", "is no YAML"),
        (b"model: !!python/object/apply:os.system ['touch x']", "is no YAML"),
        (b"model: \xff\xfe", "is no YAML"),
        (b"x" * (2 << 20), "too large"),
        (b"[" * 5000, "is no YAML"),
    ],
)
def test_what_is_no_table_of_options_is_refused_in_one_line(kdflow, tmp_path, content, words):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    code, error = kdflow("student", "--config", str(path)).line
    assert (code, error.count("\n")) == (2, 1)
    assert error.startswith(f"kdflow: error: --config {path}")
    assert words in error


@pytest.mark.fault
@pytest.mark.parametrize("name", ["gone.yaml", ".", "a\0b"])
def test_a_file_that_cannot_be_read_is_one_line(kdflow, tmp_path, name):
    code, error = kdflow("study", "--config", f"{tmp_path}/{name}").line
    assert (code, error.count("\n")) == (2, 1)


def test_all_that_is_wrong_in_a_file_is_named_at_once(tmp_path, kdflow):
    path = tmp_path / "config.yaml"
    path.write_text("alpah: 1\nlr: -1\n")
    code, err = kdflow("student", "--config", str(path)).line
    assert code == 2
    assert err.count("kdflow: error: ") == 2
    assert "no option 'alpah'" in err
    assert "--lr is '-1'" in err
