"""Predicting with a trained student: every way to name it, what is printed, what is refused and with which exit code.

What becomes of the formats of images is in tests/data/test_pictures.py; predicting by an ONNX file in test_export.py.
"""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import kdflow as package
from kdflow.config import DataConfig
from kdflow.data import load
from kdflow.models.weights import CARD, WEIGHTS
from kdflow.tracking.store_runs import StoreRuns
from tests.hostile import Hostile, in_a_zip

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def student_id(study):
    return study.rows[2].run_id


@pytest.fixture(scope="module")
def digits(store, tmp_path_factory):
    """Seven test images of the study as files, and a folder within with one of another size and a file of notes."""
    folder = tmp_path_factory.mktemp("images")
    images = load(DataConfig(dataset="digits")).test.images[:7].permute(0, 2, 3, 1).numpy()
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "more").mkdir()
    Image.fromarray(images[0]).resize((200, 100)).convert("CMYK").save(folder / "more" / "large.jpg")
    (folder / "more" / "notes.txt").write_text("notes")
    return folder


@pytest.fixture(scope="module")
def expected(student_id, digits):
    """The probabilities of the seven, by what the registry has."""
    import mlflow

    model = mlflow.pyfunc.load_model(_address(student_id), model_config={"device": "cpu"})
    return model.predict(np.stack([np.asarray(Image.open(digits / f"{number}.png")) for number in range(7)]))


@pytest.fixture
def weights(student_id, tmp_path):
    """A copy of the folder of a student's weights."""
    with StoreRuns().weights_of(student_id) as folder:
        return shutil.copytree(folder, tmp_path / "weights")


def _address(run_id):
    return StoreRuns().address(run_id)


def test_every_name_of_a_model_gives_the_probabilities_of_the_registered_one(
    study, student_id, digits, expected, weights, kdflow
):
    names = [student_id, student_id[:8], f"runs:/{student_id}/model", _address(student_id)]
    names += [str(weights), str(weights.parent), str(weights / WEIGHTS), str(weights / CARD)]
    files = [str(digits / f"{number}.png") for number in range(7)]
    for name in names:
        said = kdflow("predict", name, *files, "--top", "10", "--json")
        assert said.line == (0, "")
        for one, file, probabilities in zip(json.loads(said.out), files, expected, strict=True):
            assert one["image"] == file
            assert one["size"] == [32, 32]
            found = {each["class"]: each["probability"] for each in one["predictions"]}
            assert list(found.values()) == sorted(found.values(), reverse=True)
            np.testing.assert_allclose([found[str(digit)] for digit in range(10)], probabilities, atol=1e-5)


def test_the_champion_is_meant_where_a_version_is_not_named(study, digits, kdflow):
    said = kdflow("predict", "models:/kdflow-student-digits", str(digits / "0.png"))
    assert said.code == 0
    assert said.out.startswith("model: models:/kdflow-student-digits/")


def test_a_table_says_what_was_scaled_and_what_was_passed_over(student_id, digits, kdflow):
    said = kdflow("predict", student_id, str(digits), "--top", "2")
    assert said.line == (0, "")
    model, scaled, passed_over, heading, *lines = said.out.splitlines()
    assert model == f"model: {_address(student_id)} (run {student_id}, test {_test_accuracy(student_id)} %)"
    assert scaled == "scaled to 32x32, as --resize true scales the images of a training: 1 of 8"
    assert passed_over == "passed over, as hidden or no image by their names: 1"
    assert heading.split() == ["image", "class", "probability"]
    assert len(lines) == 16, "two classes of each image"
    assert lines[0].startswith(str(digits / "0.png"))
    assert lines[1].startswith(" ")
    assert len({len(line) for line in (heading, *lines)}) == 1, "aligned"
    assert lines[-2].startswith(str(digits / "more" / "large.jpg"))


def _test_accuracy(run_id):
    return f"{100 * StoreRuns().record(run_id).metrics['final/test_accuracy']:.2f}"


@pytest.mark.parametrize("as_json", [False, True])
def test_what_cannot_be_read_is_a_line_each_and_the_others_are_shown(student_id, digits, tmp_path, kdflow, as_json):
    (tmp_path / "bad.png").write_text("no image")
    (tmp_path / "empty").mkdir()
    absent, empty, bad, good = (*(tmp_path / name for name in ("absent.png", "empty", "bad.png")), digits / "0.png")
    said = kdflow("predict", student_id, *map(str, (absent, bad, good, empty)), *["--json"] * as_json)
    assert said.code == 3
    assert said.error.splitlines() == [
        f"kdflow: error: there is no file {absent}",
        f"kdflow: error: {bad} is no readable image: unknown format",
        f"kdflow: error: {empty} holds no image, nor does any folder within it",
    ]
    assert str(good) in said.out
    if as_json:
        assert [one["image"] for one in json.loads(said.out)] == [str(good)]


def test_if_nothing_can_be_read_json_is_an_empty_array(student_id, tmp_path, kdflow):
    said = kdflow("predict", student_id, str(tmp_path / "absent.png"), "--json")
    assert (said.code, json.loads(said.out)) == (3, [])


def test_a_flag_takes_no_image_for_its_value_and_the_names_of_files_stay_as_they_are(student_id, digits, kdflow):
    odd = digits.parent / " a,b.png"
    shutil.copy(digits / "0.png", odd)
    said = kdflow("predict", "--json", student_id, "--top", "1", str(odd))
    assert [one["image"] for one in json.loads(said.out)] == [str(odd)]


def test_names_of_files_and_classes_are_inert(weights, digits, tmp_path, kdflow):
    card = json.loads((weights / CARD).read_text())
    card["classes"][0] = "[red]\x1b[31m:smile:\n"
    (weights / CARD).write_text(json.dumps(card))
    file = tmp_path / "\x1b[2J[b].png"
    shutil.copy(digits / "0.png", file)
    said = kdflow("predict", str(weights), str(file), "--top", "10")
    assert said.code == 0
    assert "\x1b" not in said.out
    assert "[red]\ufffd[31m:smile:" in said.out
    assert "\ufffd[2J[b].png" in said.out


def test_offline_a_run_is_found_in_its_journal_and_no_store_is_asked(student_id, digits, expected, kdflow, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
    said = kdflow("predict", student_id[:8], str(digits / "3.png"), "--offline", "--json")
    assert said.line == (0, "")
    (best,) = json.loads(said.out)[0]["predictions"]
    assert best["probability"] == pytest.approx(expected[3].max(), abs=1e-5)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("0123456789abcdef0123456789abcdef", "there is no such run"),
        ("models:/kdflow-student-digits/999", "no such version or alias; kdflow-student-digits has versions 1"),
        ("models:/nothing@champion", "no model 'nothing' is registered"),
        ("ab", "give a whole run id, or at least its first 4 characters"),
        ("absent/weights", "there is no absent/weights: give a run, a registered model, or a folder"),
        ("student.onnx", "there is no student.onnx"),
        (".", "holds no card.json"),
    ],
)
def test_a_model_that_there_is_not_is_one_line(study, digits, kdflow, model, reason):
    code, error = kdflow("predict", model, str(digits)).line
    assert code == 3
    assert error.count("\n") == 1
    assert "--teacher" not in error
    assert reason in error


def test_an_exported_program_is_refused_unread_as_it_could_run_code(tmp_path, digits, kdflow):
    path = tmp_path / "student.pt2"
    in_a_zip(path, Hostile(tmp_path / "marker"))
    code, error = kdflow("predict", str(path), str(digits)).line
    assert code == 3
    assert "reads in a way that can run code: give a run, a registered model" in error
    assert not (tmp_path / "marker").exists()


def test_weights_that_are_a_program_or_damaged_are_refused(weights, digits, tmp_path, kdflow):
    in_a_zip(weights / WEIGHTS, Hostile(tmp_path / "marker"))
    code, error = kdflow("predict", str(weights), str(digits)).line
    assert (code, error) == (
        3,
        f"kdflow: error: {weights}: weights.pt is damaged or was exchanged: its SHA-256 is not the one in card.json\n",
    )
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"classes": ["one", "two"]}, "these are no weights of small-cnn"),
        ({"classes": None}, "card.json does not say classes"),
        ({"mean": ["a", 0, 0]}, "does not say mean as three numbers"),
        ({"image_size": 64}, "it takes images of 64x64"),
        ({"model": "no-such"}, "unknown model 'no-such'"),
    ],
)
def test_a_card_that_does_not_fit_is_one_line(weights, digits, kdflow, changed, reason):
    card = json.loads((weights / CARD).read_text())
    (weights / CARD).write_text(json.dumps(card | changed))
    code, error = kdflow("predict", str(weights), str(digits)).line
    assert (code, error.count("\n")) == (3, 1)
    assert reason in error


def test_a_store_that_is_away_is_exit_code_4_and_none_is_made(digits, tmp_path, kdflow, monkeypatch):
    for address in (NOWHERE, f"sqlite:///{tmp_path}/mlflow.db"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        code, error = kdflow("predict", "models:/kdflow-student-digits", str(digits)).line
        assert (code, error.count("\n")) == (4, 1)
        assert "use what is kept here with --offline" in error
    assert list(tmp_path.iterdir()) == []


def test_from_python_it_is_the_same_and_a_notebook_shows_a_table(student_id, digits, expected, tmp_path):
    threads = torch.get_num_threads()
    found = package.predict(student_id, digits, tmp_path / "absent<b>.png", top=3)
    assert torch.get_num_threads() == threads
    assert len(found) == 8
    assert [one.label for one in found][:7] == [str(best) for best in expected.argmax(1)]
    assert found.unreadable == (f"there is no file {tmp_path / 'absent<b>.png'}",)
    frame = found.to_frame()
    assert list(frame.columns) == ["image", "class", "probability"]
    assert len(frame) == 24
    assert frame["probability"].between(0, 1).all()
    shown = found._repr_html_()
    assert shown.count("<tr>") == 25
    assert "absent&lt;b&gt;.png" in shown
    with pytest.raises(package.KdflowError, match="--top is '0'"):
        package.predict(student_id, digits, top=0)
