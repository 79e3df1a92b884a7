"""What `auto` settles to on this machine, and what cannot be had. Arithmetic on a GPU is not covered."""

import pytest
import torch

from kdflow.config import RuntimeConfig
from kdflow.errors import UsageError
from kdflow.runtime import Runtime, resolve


@pytest.fixture(autouse=True)
def _threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_what_is_asked_for_is_what_is_got() -> None:
    runtime = resolve(RuntimeConfig(seed=3, device="cpu", precision="fp32", threads=1))
    assert runtime == Runtime(3, torch.device("cpu"), torch.float32, 1)
    assert torch.get_num_threads() == 1
    assert runtime.describe() == "cpu, fp32, 1 thread"


@pytest.mark.usefixtures("without_cuda")
def test_auto_takes_the_cpu_where_there_is_no_cuda_and_cuda_is_refused() -> None:
    assert resolve(RuntimeConfig(device="auto")).device == torch.device("cpu")
    with pytest.raises(UsageError, match=r"^--device is 'cuda': torch finds no CUDA device here; give cpu or auto$"):
        resolve(RuntimeConfig(device="cuda"))


@pytest.mark.usefixtures("without_cuda")
@pytest.mark.parametrize(
    ("features", "dtype"),
    [
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": False, "avx512": True}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_auto_takes_bf16_only_where_the_chip_has_it(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, bool], dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert resolve(RuntimeConfig()).dtype == dtype
    assert resolve(RuntimeConfig(precision="fp32")).dtype == torch.float32
    assert resolve(RuntimeConfig(precision="bf16")).dtype == torch.bfloat16


def test_zero_threads_leaves_the_choice_to_torch() -> None:
    torch.set_num_threads(1)
    assert resolve(RuntimeConfig(threads=0)).threads == 1
    assert resolve(RuntimeConfig(threads=2)).describe().endswith("2 threads")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_products_are_computed_in_the_dtype(dtype: torch.dtype) -> None:
    runtime = Runtime(0, torch.device("cpu"), dtype, 1)
    with runtime.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
