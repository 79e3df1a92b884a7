"""`mlflow models serve` on the registered champion, as docs/using.md says it, asked with its curl line too."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kdflow
from tests.data.image_folders import pixels
from tests.servers import ENVIRONMENT, free_port, running

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "using.md"
CHAMPION = "models:/kdflow-student-digits@champion"
BESIDE_PYTHON = f"{Path(sys.executable).parent}:{ENVIRONMENT['PATH']}"


def documented(words, port):
    """The command of the page that begins with some words, for another port."""
    block = re.search(rf"^    {re.escape(words)}.*?(?=\n\n)", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return textwrap.dedent(block[0]).replace("5077", str(port))


@pytest.fixture(scope="module")
def port(study, store, tmp_path_factory):
    port = free_port()
    command = ["bash", "-c", documented("MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false mlflow models serve", port)]
    told = {"MLFLOW_TRACKING_URI": f"sqlite:///{store / 'mlflow.db'}", "PATH": BESIDE_PYTHON}
    with running(command, port, tmp_path_factory.mktemp("serving"), told):
        yield port


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "photo.png"
    Image.fromarray(pixels(0, size=80)[:60]).save(path)
    return path


def ask(port, body):
    """Status of the answer, and the answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def by_kdflow(picture):
    """What `kdflow.predict` says, in the order of the classes."""
    (found,) = kdflow.predict(CHAMPION, picture, top=10)
    return [probability for _, probability in sorted(found.classes)]


@pytest.mark.parametrize("field", ["inputs", "instances"])
@pytest.mark.parametrize("count", [1, 5])
def test_raw_images_as_nested_lists_are_answered_with_the_models_probabilities(port, picture, field, count):
    image = np.asarray(Image.open(picture).resize((32, 32), Image.Resampling.BILINEAR)).tolist()
    status, answer = ask(port, {field: [image] * count})
    assert status == 200
    np.testing.assert_allclose(answer["predictions"], [by_kdflow(picture)] * count, atol=1e-5)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_line_of_the_page_is_answered_with_the_same(port, picture):
    command = documented("python -c '", port).replace("photo.jpg", str(picture))
    done = subprocess.run(
        ["bash", "-c", command],
        env={**ENVIRONMENT, "PATH": BESIDE_PYTHON},
        capture_output=True,
        timeout=120,
        check=True,
    )
    np.testing.assert_allclose(json.loads(done.stdout)["predictions"], [by_kdflow(picture)], atol=1e-5)


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (np.zeros((32, 32, 3), int), "images_N_32_32_3_with_batch_axis"),
        (np.zeros((1, 28, 28, 3), int), "images_N_32_32_3_with_batch_axis"),
        (np.zeros((1, 3, 32, 32), int), "images_N_32_32_3_with_batch_axis"),
        (np.full((1, 32, 32, 3), 0.5), "floats, such as pixels scaled to 0..1, are refused"),
        (np.full((1, 32, 32, 3), 256), "whole numbers from 0 to 255"),
    ],
    ids=["one image", "another size", "channels first", "floats", "beyond"],
)
def test_what_are_no_raw_images_is_status_400_and_the_last_line_says_why(port, images, reason):
    status, answer = ask(port, {"inputs": images.tolist()})
    assert status == 400
    assert reason in answer["stack_trace"].splitlines()[-1]


def test_a_bare_list_is_status_400_with_what_to_send(port):
    status, answer = ask(port, [[0]])
    assert status == 400
    assert "'inputs'" in answer["message"]
