"""A file from outside never runs code: what the project's code can do, and what hostile files achieve.

Damage to weights, and hostile pickles as torch saves them, are in tests/models/test_weights.py, those in archives of
data sets in tests/data/sets/test_cifar.py. Passwords, and a whole run with a hostile teacher, are in
tests/experiments/test_secrets.py.
"""

import json
import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hostile import Hostile, in_a_pt2, in_a_zip
from tests.unsafe import findings

ROOT = Path(__file__).parents[1]
FILES = sorted(path for folder in ("kdflow", "benchmarks", "tests", "docker") for path in (ROOT / folder).rglob("*.py"))
# Tests that show a hostile file to be one, that read what they have just written, or that have pickle switched off.
EXEMPT = {
    ("tests/models/test_weights.py", "test_the_hostile_pickle_is_hostile", "torch.load"),
    (
        "tests/training/test_checkpoint.py",
        "test_a_checkpoint_that_is_a_program_is_not_run_though_its_hash_is_right",
        "torch.load",
    ),
    ("tests/common/test_cache.py", "test_an_entry_that_is_a_program_is_not_run", "torch.load"),
    ("tests/data/sets/test_cifar.py", "test_images_labels_and_names_are_those_of_the_archive", "pickle.loads"),
    ("tests/data/sets/test_cifar.py", "test_a_hostile_pickle_in_the_folder_is_never_run", "pickle.loads"),
    (
        "tests/experiments/test_registered_models.py",
        "test_loading_a_student_needs_no_pickle",
        "mlflow.pytorch.load_model",
    ),
    (
        "tests/experiments/test_relocation.py",
        "test_relocated_once_the_store_has_everything_and_the_stopped_student_goes_on",
        "mlflow.pyfunc.load_model",
    ),
    (
        "tests/experiments/test_bad_data.py",
        "test_class_names_that_are_no_utf8_are_trained_on_and_told",
        "mlflow.pyfunc.load_model",
    ),
    (
        "tests/experiments/test_pages.py",
        "test_a_run_and_its_version_say_how_good_the_model_is_what_it_takes_and_how_it_is_loaded",
        "mlflow.pyfunc.load_model",
    ),
    ("tests/experiments/test_predict.py", "expected", "mlflow.pyfunc.load_model"),
    ("tests/experiments/test_export.py", "expected", "mlflow.pyfunc.load_model"),
    (
        "tests/experiments/test_export.py",
        "test_without_a_name_a_file_is_named_after_network_and_weights",
        "torch.export.load",
    ),
    (
        "tests/models/test_exported_files.py",
        "test_an_exported_program_gives_the_probabilities_of_the_model_and_refuses_floats",
        "torch.export.load",
    ),
    # The safe loader, which in addition refuses a key that stands there twice.
    ("kdflow/config/settings_file.py", "_parsed", "yaml.load"),
    ("kdflow/config/settings_file.py", "_Strict", "yaml.SafeLoader"),
}


def test_no_file_of_the_project_can_run_what_it_reads() -> None:
    found = {(str(path.relative_to(ROOT)), *finding) for path in FILES for finding in findings(path.read_text())}
    assert found - EXEMPT == set()
    assert EXEMPT - found == set(), "an exemption that nothing needs any more"
    assert ROOT / "kdflow" / "models" / "weights.py" in FILES


@pytest.mark.parametrize(
    "line",
    [
        "import torch; torch.load(path)",
        "import torch; torch.load(path, weights_only=False)",
        "import torch; torch.load(path, weights_only=safe)",
        "import torch; torch.load(path, **options)",
        "import torch; torch.load(path, weights_only=True, pickle_module=dill)",
        "import torch as t; t.load(path)",
        "from torch import load; load(path)",
        "from torch import load as read; read(path)",
        "import torch; read = torch.load",
        "import torch; list(map(torch.load, paths))",
        "import torch; t = torch; t.load(path)",
        "import torch; getattr(torch, 'load')(path)",
        "import importlib; importlib.import_module('torch').load(path)",
        "import torch.serialization; torch.serialization.add_safe_globals([x])",
        "import torch; torch.jit.load(path)",
        "from torch import jit; jit.load(path)",
        "import torch; torch.export.load(path)",
        "import torch; torch.hub.load_state_dict_from_url(url)",
        "import pickle; pickle.load(file)",
        "import pickle as p; p.loads(content)",
        "from pickle import loads",
        "from pickle import Unpickler as U",
        "from pickle import *",
        "__import__('pickle').loads(content)",
        "def inner():\n    import cloudpickle as c\n    return c.loads(content)",
        "import dill; dill.load(file)",
        "import joblib; joblib.load(path)",
        "import marshal; marshal.loads(content)",
        "import shelve; shelve.open(path)",
        "import pandas as pd; pd.read_pickle(path)",
        "import numpy as np; np.load(path, allow_pickle=True)",
        "import numpy as np; np.load(path, None, True)",
        "import yaml; yaml.load(text, Loader=yaml.Loader)",
        "import yaml; yaml.unsafe_load(text)",
        "eval(text)",
        "class A:\n    def b(self): exec(text)",
        "run = eval",
        "import mlflow; mlflow.pytorch.load_model(address)",
        "import mlflow.pyfunc as m; m.load_model(address)",
        "from mlflow.sklearn import load_model",
    ],
)
def test_a_line_that_can_run_what_it_reads_is_found(line: str) -> None:
    assert list(findings(line))


@pytest.mark.parametrize(
    "line",
    [
        "import torch; torch.load(path, map_location='cpu', weights_only=True)",
        "import numpy as np; np.load(path); np.load(path, allow_pickle=False)",
        "import pickle; pickle.dumps(x); raise pickle.UnpicklingError",
        "import yaml; yaml.safe_load(text)",
        "import re; re.compile(x)",
        "model.eval(); json.load(file); self.load(path); load(config)",
    ],
)
def test_a_line_that_cannot_is_let_pass(line: str) -> None:
    assert not list(findings(line))


def bare(path: Path, hostile: Hostile) -> None:
    path.write_bytes(pickle.dumps(hostile))


def nested(path: Path, hostile: Hostile) -> None:
    path.write_bytes(pickle.dumps({"weight": [("deep", {"inside": hostile})]}, protocol=2))


def tarred(path: Path, hostile: Hostile) -> None:
    """The format of torch before 0.1.10."""
    part = path.with_suffix(".pickle")
    bare(part, hostile)
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle", "sys_info"):
            archive.add(part, name)
    part.unlink()


def as_constants_of_a_script(path: Path, hostile: Hostile) -> None:
    """What makes torch take an archive for TorchScript is a file of this name."""
    in_a_zip(path, hostile)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/constants.pkl", pickle.dumps(hostile))


def without_its_other_files(path: Path, hostile: Hostile) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", pickle.dumps(hostile))


def refuses(folder: Path) -> str:
    """Lets `read_weights` read a file that its card vouches for; returns the refusal."""
    from kdflow.common.errors import KdflowError
    from kdflow.common.files import sha256
    from kdflow.models.weights import CARD, SCHEMA, WEIGHTS, read_weights

    (folder / CARD).write_text(json.dumps({"schema": SCHEMA, "sha256": sha256(folder / WEIGHTS)}))
    with pytest.raises(KdflowError) as caught:
        read_weights(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "write",
    [bare, nested, tarred, in_a_zip, as_constants_of_a_script, without_its_other_files],
    ids=lambda f: f.__name__,
)
def test_weights_that_hide_a_program_are_refused_though_the_card_vouches_for_them(
    write: Callable[[Path, Hostile], None], tmp_path: Path
) -> None:
    write(tmp_path / "weights.pt", Hostile(tmp_path / "marker"))
    assert refuses(tmp_path).startswith("weights.pt holds no tensors that can be read")
    assert not (tmp_path / "marker").exists()


def test_the_program_that_they_hide_would_run(tmp_path: Path) -> None:
    bare(tmp_path / "weights.pt", Hostile(tmp_path / "marker"))
    run = f"import pickle; pickle.load(open({str(tmp_path / 'weights.pt')!r}, 'rb'))"
    subprocess.run([sys.executable, "-c", run], check=True, cwd=ROOT)
    assert (tmp_path / "marker").exists()


# What a process does with a model of MLflow, one of kdflow's own or another; the last word shows how far it got.
LOAD = "import sys, mlflow.pytorch; mlflow.pytorch.load_model(sys.argv[1])"
PREPARED = f"from kdflow.common import process; process.prepare(); {LOAD}"


def load_in_a_process(folder: Path, code: str = PREPARED, **environment: str) -> str:
    """What `mlflow.pytorch.load_model` says, last of all; by default in a process that is prepared as kdflow's are."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    command = [sys.executable, "-W", "ignore", "-c", code, str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env=clean | environment, capture_output=True, text=True, timeout=120, check=False
    )
    return f"{done.stderr.strip()}\n".splitlines()[-1]


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model as MLflow saves it, an exported program."""
    import mlflow.pytorch
    import numpy as np
    from torch import nn

    folder = tmp_path_factory.mktemp("models") / "model"
    example = np.zeros((2, 3), dtype=np.float32)
    mlflow.pytorch.save_model(nn.Linear(3, 2), folder, serialization_format="pt2", input_example=example)
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
class TestModelsOfMLflow:
    def test_an_exported_program_that_is_one_loads(self, logged: Path) -> None:
        assert load_in_a_process(logged) == ""

    @pytest.mark.parametrize("code", [PREPARED, LOAD])
    def test_one_with_a_program_inside_is_refused_whatever_the_environment_says(
        self, logged: Path, tmp_path: Path, code: str
    ) -> None:
        folder = hostile_copy(logged, tmp_path)
        said = load_in_a_process(folder, code, MLFLOW_ALLOW_PICKLE_DESERIALIZATION="true")
        refused = code == PREPARED
        assert ("Deserializing model using pickle is disallowed" in said) == refused
        assert (tmp_path / "marker").exists() != refused, "it would have been in a process of others"

    def test_a_pickled_model_is_refused(self, logged: Path, tmp_path: Path) -> None:
        folder = hostile_copy(logged, tmp_path)
        (model,) = folder.rglob("*.pt2")
        in_a_zip(model.with_name("model.pth"), Hostile(tmp_path / "marker"))
        model.unlink()
        (folder / "data" / "pickle_module_info.txt").write_text("pickle")
        description = folder / "MLmodel"
        description.write_text(description.read_text().replace("pt2", "pickle"))
        assert "Deserializing model using pickle is disallowed" in load_in_a_process(folder)
        assert not (tmp_path / "marker").exists()

    def test_an_exported_program_is_no_weights(self, logged: Path, tmp_path: Path) -> None:
        folder = hostile_copy(logged, tmp_path)
        (model,) = folder.rglob("*.pt2")
        model.rename(tmp_path / "weights.pt")
        assert refuses(tmp_path).startswith("weights.pt: ")
        assert not (tmp_path / "marker").exists()


def hostile_copy(logged: Path, folder: Path) -> Path:
    """A saved model, the archive of whose program runs something when all of it is unpickled."""
    import shutil

    copy = Path(shutil.copytree(logged, folder / "model"))
    (model,) = copy.rglob("*.pt2")
    in_a_pt2(model, Hostile(folder / "marker"))
    return copy
