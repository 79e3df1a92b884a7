"""What `auto` settles to on this machine, and what cannot be had. Arithmetic on a GPU is not covered."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from kdflow.common.errors import UsageError
from kdflow.config import RuntimeConfig
from kdflow.device.runtime import Runtime, cpu_name, resolve
from kdflow.device.threads import PATIENCE, REPEATS, TRIALS

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="scalars on CUDA need a CUDA device")


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
    assert resolve(RuntimeConfig(threads=1, device="auto")).device == torch.device("cpu")
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
    assert resolve(RuntimeConfig(threads=1)).dtype == dtype
    assert resolve(RuntimeConfig(threads=1, precision="fp32")).dtype == torch.float32
    assert resolve(RuntimeConfig(threads=1, precision="bf16")).dtype == torch.bfloat16


class Machine:
    """Stands in for torch's threads and the clock.

    Attributes:
        threads: In use; at first as many as it has cores.
        switches: Numbers of threads that were set, in order.
        now: Seconds that convolutions took so far.
    """

    def __init__(self, cores: int, seconds: Callable[["Machine"], float]) -> None:
        self.threads, self.switches, self.now, self.since_switch = cores, [], 0.0, 0
        self._seconds = seconds

    def set_num_threads(self, count: int) -> None:
        self.switches.append(count)
        self.threads, self.since_switch = count, 0

    def conv2d(self, images: Tensor, *args: object, **kwargs: object) -> Tensor:
        self.now += self._seconds(self)
        self.since_switch += 1
        return images


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, without_cuda: None) -> Callable[..., Machine]:
    """`machine(cores, seconds)`: `seconds` gives what a convolution takes."""

    def start(cores: int, seconds: Callable[[Machine], float] = lambda machine: 0.001 / machine.threads) -> Machine:
        made = Machine(cores, seconds)
        monkeypatch.setattr("kdflow.device.threads.EVERY_CORE", cores)
        monkeypatch.setattr(torch, "get_num_threads", lambda: made.threads)
        monkeypatch.setattr(torch, "set_num_threads", made.set_num_threads)
        monkeypatch.setattr(torch, "conv2d", made.conv2d)
        monkeypatch.setattr(time, "perf_counter", lambda: made.now)
        return made

    return start


@pytest.mark.parametrize(("slower", "best"), [(1, 4), (4, 1)])
def test_auto_threads_takes_the_faster_of_one_and_all(machine: Callable[..., Machine], slower: int, best: int) -> None:
    tried = machine(4, lambda machine: 0.002 if machine.threads == slower else 0.001)
    assert resolve(RuntimeConfig(threads="auto")).threads == best
    assert tried.threads == best
    assert tried.switches == [1, 4] * TRIALS + [best], "in turn, so that what comes and goes meets both"


def test_a_disturbance_of_some_trials_does_not_decide(machine: Callable[..., Machine]) -> None:
    def seconds(machine: Machine) -> float:
        disturbed = len(machine.switches) in (2, 6, 10)  # three of the seven trials of all threads
        return 0.004 if disturbed else 0.001 / machine.threads

    machine(4, seconds)
    assert resolve(RuntimeConfig(threads="auto")).threads == 4


def test_what_only_the_first_convolution_takes_does_not_count(machine: Callable[..., Machine]) -> None:
    machine(4, lambda machine: 0.05 if machine.threads == 4 and not machine.since_switch else 0.001 / machine.threads)
    assert resolve(RuntimeConfig(threads="auto")).threads == 4


def test_a_single_core_is_not_tried(machine: Callable[..., Machine]) -> None:
    tried = machine(1)
    assert resolve(RuntimeConfig(threads="auto")).threads == 1
    assert tried.now == 0


def test_nothing_is_left_to_a_stopwatch_unless_it_is_asked_for(machine: Callable[..., Machine]) -> None:
    busy = machine(4, lambda machine: 0.01 * machine.threads)
    runtime = resolve(RuntimeConfig())
    assert (runtime.threads, busy.switches, busy.now) == (4, [4], 0)


@pytest.mark.parametrize("threads", ["1.5", "Auto", "-1", "all"])
def test_threads_are_a_number_or_auto(threads: str) -> None:
    with pytest.raises(UsageError, match=f"--threads is '{threads}': give a whole number from 0 to 1024 or auto"):
        RuntimeConfig(threads=threads)


def test_what_auto_and_zero_have_come_to_mean_is_said(machine: Callable[..., Machine]) -> None:
    machine(4)
    settled = resolve(RuntimeConfig(precision="fp32", device="cpu")).settled
    assert settled == {"device": "cpu", "precision": "fp32", "threads": 4}


@pytest.mark.parametrize("threads", [1, 3, 4])
def test_threads_that_are_asked_for_are_not_tried(machine: Callable[..., Machine], threads: int) -> None:
    tried = machine(4, lambda machine: 0.01 * machine.threads)
    runtime = resolve(RuntimeConfig(threads=threads))
    assert (runtime.threads, tried.switches, tried.now) == (threads, [threads], 0)
    assert runtime.describe().endswith(f"{threads} thread{'s' * (threads > 1)}")


def test_what_shall_repeat_itself_is_not_left_to_a_trial(machine: Callable[..., Machine]) -> None:
    tried = machine(4, lambda machine: 0.01 * machine.threads)
    runtime = resolve(RuntimeConfig(threads="auto", deterministic=True))
    assert (runtime.threads, runtime.deterministic, tried.now) == (4, True, 0)
    assert resolve(RuntimeConfig(threads=2, deterministic=True)).threads == 2


@pytest.mark.parametrize("each", [0.001, 0.01, 0.1])
def test_a_trial_ends_after_a_second_or_when_each_was_tried_twice(machine: Callable[..., Machine], each: float) -> None:
    tried = machine(4, lambda machine: each)
    resolve(RuntimeConfig(threads="auto"))
    pair = 2 * (REPEATS + 1) * each
    assert tried.now < max(PATIENCE + 1.01 * pair, 2.01 * pair)


def test_an_earlier_choice_does_not_bind_a_later_one(machine: Callable[..., Machine]) -> None:
    machine(4)
    assert resolve(RuntimeConfig(threads=1)).threads == 1
    assert resolve(RuntimeConfig(threads="auto")).threads == 4
    resolve(RuntimeConfig(threads=1))
    assert resolve(RuntimeConfig(deterministic=True)).threads == 4


@pytest.mark.usefixtures("without_cuda")
def test_a_trial_on_this_machine_takes_one_or_all_and_no_random_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdflow.device.threads.TRIALS", 1)
    monkeypatch.setattr("kdflow.device.threads.EVERY_CORE", 2)
    before = torch.get_rng_state()
    runtime = resolve(RuntimeConfig(threads="auto", precision="fp32"))
    assert runtime.threads in (1, 2)
    assert torch.get_num_threads() == runtime.threads
    assert torch.equal(torch.get_rng_state(), before)


def test_numbers_stay_numbers_on_the_cpu() -> None:
    rates = [0.1, 0.2]
    assert Runtime(0, torch.device("cpu"), torch.float32, 1).scalars(rates) is rates


def test_what_else_the_process_computes_with_does_not_matter_and_is_left_as_it_was() -> None:
    torch.set_num_threads(1)
    with Runtime(0, torch.device("cpu"), torch.float32, 2).applied():
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 1


@needs_cuda
def test_on_cuda_flags_are_those_of_the_run_only_while_it_computes() -> None:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    with Runtime(0, torch.device("cuda"), torch.float32, 1, deterministic=True).applied():
        assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.cudnn.deterministic
        assert torch.are_deterministic_algorithms_enabled()
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark) == before
    assert not torch.are_deterministic_algorithms_enabled()


@needs_cuda
def test_numbers_are_scalars_on_cuda() -> None:
    scalars = Runtime(0, torch.device("cuda"), torch.float32, 1).scalars([0.5, 0.25])
    assert [(value.device.type, value.shape, value.item()) for value in scalars] == [
        ("cuda", (), 0.5),
        ("cuda", (), 0.25),
    ]


def test_arithmetic_names_all_that_rounding_depends_on_and_nothing_else() -> None:
    runtime = Runtime(0, torch.device("cpu"), torch.float32, 1)
    others = [{"dtype": torch.bfloat16}, {"threads": 2}, {"deterministic": True}]
    kinds = {runtime.arithmetic, *(replace(runtime, **other).arithmetic for other in others)}
    assert len(kinds) == 4
    assert replace(runtime, seed=5).arithmetic == runtime.arithmetic
    assert cpu_name() in runtime.arithmetic


def test_another_processor_is_another_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(0, torch.device("cpu"), torch.float32, 1)
    before = runtime.arithmetic
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "another")
    assert runtime.arithmetic != before


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_products_are_computed_in_the_dtype(dtype: torch.dtype) -> None:
    runtime = Runtime(0, torch.device("cpu"), dtype, 1)
    with runtime.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
