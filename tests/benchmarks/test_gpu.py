from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import torch
import typer
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.gpu import checks, report
from benchmarks.gpu_checks import blocks, detector, programs
from benchmarks.gpu_checks.in_time import in_time
from benchmarks.gpu_checks.outcome import Outcome, run_checks
from harness.architecture import BASELINE
from harness.blocks.operators import GATES, LOCAL_OPERATORS
from harness.blocks.registry import block_names
from harness.cli.app import app
from harness.jobs.place import Place
from harness.latency.runtimes import Dtype, MemoryFormat, Mode, Runtime
from harness.record.state import Failure, State
from harness.training.accuracy import Training
from tests.benchmarks import stubs

ROOT = Path(__file__).resolve().parents[2]
FEW = {name: blocks.modules()[name] for name in ("downsampling block", "kind cbam")}


def passing() -> Outcome:
    return Outcome(measured="0.5 [0.4, 0.6]", limit="≤ 1", passed=True)


def failing() -> Outcome:
    return Outcome(measured="2", limit="≤ 1", passed=False)


def breaking() -> Outcome:
    raise RuntimeError("CUDA error: an illegal memory access\nand many more lines")


def test_a_check_that_raises_has_failed_with_its_message_and_the_others_go_on() -> None:
    found = dict(run_checks({"breaks": breaking, "fails": failing, "passes": passing}))
    assert [outcome.passed for outcome in found.values()] == [False, False, True]
    assert found["breaks"].measured == "RuntimeError: CUDA error: an illegal memory access"


@pytest.mark.parametrize(
    ("check", "passed"), [(passing, True), (failing, False), (breaking, False)], ids=["pass", "fail", "raise"]
)
def test_the_table_shows_what_was_measured_and_one_failure_fails_all(
    check: Callable[[], Outcome], passed: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    found = run_checks({"first": passing, "second": check})
    assert report(found, ["first", "second"], "a GPU") == (0 if passed else 1)
    table = capsys.readouterr().out
    assert "0.5 [0.4, 0.6]" in table  # not taken for rich's markup
    assert ("FAIL" in table) is not passed


def test_without_a_gpu_it_says_so_in_one_sentence_wherever_it_is_called() -> None:
    """Of a Python where clo-nas itself is not installed, too."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--minutes", "6"]
    done = subprocess.run(
        command, env=environment | {"CUDA_VISIBLE_DEVICES": ""}, cwd="/", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: PyTorch finds no CUDA GPU here, and this checks nothing else\n"


def test_the_checks_of_a_child_are_all_told() -> None:
    assert [*in_time(stubs.all_pass, ["first", "second"], 60)] == [("first", stubs.PASSED), ("second", stubs.PASSED)]


def test_when_the_time_is_over_the_table_has_what_was_found_and_nothing_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    file = tmp_path / "number"
    names = ["first", str(file)]
    assert report(in_time(stubs.hang_after_one, names, 10), names, "a GPU") == 0
    table = capsys.readouterr().out
    assert "0.5 [0.4, 0.6]" in table and "not finished" in table
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(file.read_text())).wait(5)


def test_a_child_that_breaks_fails_the_check_that_broke_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    names = ["first", "second", "third"]
    assert report(in_time(stubs.break_after_one, names, 60), names, "a GPU") == 1
    table = capsys.readouterr().out
    assert "the process of the checks ended with exit code 3" in table
    assert table.count("not finished") == 1


@pytest.mark.parametrize("signalled", [signal.SIGINT, signal.SIGTERM])
def test_a_table_is_printed_of_what_was_found_before_it_was_stopped(
    signalled: signal.Signals, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped() -> Outcome:
        signal.raise_signal(signalled)
        raise AssertionError("goes on")

    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored where a shell began this in the background
    monkeypatch.setenv("COLUMNS", "160")
    found = run_checks({"first": passing, "second": stopped, "third": passing})
    assert report(found, ["first", "second", "third"], "a GPU") == 130
    signal.signal(signal.SIGINT, before)
    table = capsys.readouterr().out
    assert "0.5 [0.4, 0.6]" in table and table.count("not finished") == 2


def test_a_detector_with_blocks_is_timed_over_its_base(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Runtime] = []

    def on(runtime: Runtime, _device: torch.device) -> Runtime:
        asked.append(runtime)
        return Runtime(memory_format=MemoryFormat.CONTIGUOUS)  # what a CPU has of all of them

    monkeypatch.setattr(Runtime, "on", on)
    outcome = detector.latency_by(Mode.CUDA_GRAPHS, "cpu", max_seconds=0.2, imgsz=64)
    assert asked[0] == Runtime(mode=Mode.CUDA_GRAPHS, dtype=Dtype.FP16)
    assert outcome.verdict == "pass"
    assert outcome.measured.startswith("yolov5n-clo-backbone over yolov5n, 64 px, fp16, torch ")


def test_an_engine_that_is_not_installed_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setattr(Runtime, "on", lambda runtime, _device: runtime)
    outcome = detector.latency_by(Mode.TENSORRT, "cpu", max_seconds=0.2, imgsz=64)
    assert (outcome.verdict, outcome.passed) == ("not installed", True)
    assert "needs NVIDIA's package tensorrt, which is not installed here" in outcome.measured


def test_every_registered_kind_operator_and_gate_is_checked() -> None:
    names = set(blocks.modules())
    assert {f"kind {name}" for name in block_names()} <= names
    assert {f"operator {name}" for name in LOCAL_OPERATORS} | {f"gate {name}" for name in GATES} <= names


@pytest.mark.parametrize("name", sorted(blocks.modules()))
def test_every_checked_module_stays_on_a_fake_gpu_in_both_layouts(name: str) -> None:
    """In eval mode: batch norms in training ask for CUDA itself. Backward and autocast do too."""
    module = blocks.modules()[name]().eval()
    state = module.state_dict()
    for layout in (torch.contiguous_format, torch.channels_last):
        with FakeTensorMode(), torch.no_grad():
            fake = {key: torch.empty(value.shape, dtype=value.dtype, device="cuda") for key, value in state.items()}
            x = torch.empty(blocks.SHAPES[1], device="cuda", memory_format=layout)
            assert torch.func.functional_call(module, fake, (x,)).device.type == "cuda"


@pytest.mark.parametrize(
    "check",
    [
        blocks.devices_agree,
        blocks.layouts_agree,
        lambda device, made: blocks.autocast_is_close(device, made, torch.bfloat16),
    ],
)
def test_the_checks_of_blocks_pass_on_the_cpu(check: Callable[..., Outcome]) -> None:
    outcome = check("cpu", FEW)
    assert outcome.passed, outcome
    assert outcome.measured.startswith("2 modules, 4 maps")


def test_float32_lies_far_below_its_limit_beside_float64() -> None:
    errors = [blocks.error_of(case.on("cpu"), case.on("cpu", torch.float64)) for case in blocks.cases(FEW)]
    assert 0 < max(errors) < blocks.FLOAT32_LIMIT / 10


class Strange(nn.Module):
    """Computes something else in channels_last, and overflows in reduced precision."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Conv2d(blocks.CHANNELS, blocks.CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.weight(x)
        if out.dtype is not torch.float32:
            return out * float("inf")
        return out * 1.01 if x.is_contiguous(memory_format=torch.channels_last) else out


def test_a_module_that_differs_fails_and_is_named() -> None:
    made = {**FEW, "strange": Strange}
    layouts, autocast = blocks.layouts_agree("cpu", made), blocks.autocast_is_close("cpu", made, torch.bfloat16)
    assert not layouts.passed and "(strange" in layouts.measured
    assert not autocast.passed and "error inf (strange" in autocast.measured


def test_a_small_gradient_is_measured_against_its_own_size_down_to_a_hundredth_of_the_largest() -> None:
    reference = {"output": torch.ones(1), "input": torch.tensor([10.0]), "small": torch.tensor([1.0])}
    off = reference | {"small": torch.tensor([1.1])}
    assert blocks.error_of(off, reference) == pytest.approx(0.1)
    tiny = reference | {"small": torch.tensor([1e-9])}
    assert blocks.error_of(reference | {"small": torch.tensor([2e-9])}, tiny) == pytest.approx(1e-9 / 0.1)
    assert blocks.error_of({"output": torch.ones(1)}, reference) == float("inf")


class FakeMeter:
    """A memory that steps write to."""

    def __init__(self) -> None:
        self.held = self.most = 0

    def now(self) -> int:
        return self.held

    def peak(self) -> int:
        return self.most

    def reset(self) -> None:
        self.most = self.held

    def step(self, leak: int, temporary: int = 100) -> None:
        self.held += leak
        self.most = max(self.most, self.held + temporary)


def test_a_step_that_frees_what_it_took_does_not_grow() -> None:
    meter = FakeMeter()
    assert detector.growth_of(lambda: meter.step(leak=0), meter, steps=50) == (100, 0)


def test_a_step_that_leaves_something_behind_grows() -> None:
    meter = FakeMeter()
    peak, growth = detector.growth_of(lambda: meter.step(leak=3), meter, steps=50)
    assert growth == 3 * 50
    assert peak == 3 * 55 + 100


def test_a_step_whose_temporaries_swell_grows() -> None:
    meter = FakeMeter()
    sizes = iter(range(0, 5500, 100))
    _, growth = detector.growth_of(lambda: meter.step(leak=0, temporary=next(sizes)), meter, steps=50)
    assert growth == 2500


def test_the_memory_check_trains_a_detector_and_names_the_ledgers_bytes() -> None:
    outcome = detector.training_memory("cpu", FakeMeter(), imgsz=64, batch=2, steps=2)
    assert outcome.passed
    assert "ledger: 0." in outcome.measured


def test_the_latency_check_times_a_detector_against_its_copy() -> None:
    outcome = detector.latency_aa("cpu", max_seconds=0.2, imgsz=64)
    assert "yolov5n, 64 px: ratio" in outcome.measured


def rows() -> pd.DataFrame:
    """What the small search leaves: the baseline and a finalist with two seeds, two others with one."""
    names = [(BASELINE, 0), ("a", 0), ("b", 0), ("c", 0), (BASELINE, 1), ("a", 1)]
    return pd.DataFrame(
        [
            {"architecture": name, "state": "complete", "map50_95": 0.4, "gain_map50_95": 0.0,
             "latency_ratio": 1.0 if seed == 0 else float("nan")}
            for name, seed in names
        ]
    )  # fmt: skip


def test_a_complete_search_passes() -> None:
    outcome = programs.judge_search(rows(), amp=True)
    assert outcome.passed
    assert "6 of 6 rows complete, 4 with latency, baseline mAP50-95 0.400, bf16 AMP" in outcome.measured
    assert "no bfloat16" in programs.judge_search(rows(), amp=False).measured


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frame: frame.iloc[:-1],
        lambda frame: frame.assign(state=["complete"] * 5 + ["out_of_memory"]),
        lambda frame: frame.assign(gain_map50_95=[float("nan")] + [0.0] * 5),
        lambda frame: frame.assign(latency_ratio=float("nan")),
    ],
    ids=["a row lacks", "a row failed", "a gain lacks", "no latency"],
)
def test_a_search_with_less_fails(spoil: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    assert not programs.judge_search(spoil(rows()), amp=True).passed


def test_a_search_that_exits_with_an_error_fails_with_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    typed: list[str] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        typed.extend(command)
        return subprocess.CompletedProcess(command, 2, "", "loading\n--device 0: there is no CUDA GPU")

    monkeypatch.setattr(subprocess, "run", run)
    outcome = programs.small_search("0")
    assert not outcome.passed
    assert outcome.measured == "exit code 2: --device 0: there is no CUDA GPU"
    assert typed[1:4] == ["-m", "harness", "search"]
    search = typer.main.get_group(app).commands["search"]
    given = search.make_context("search", typed[4:]).params  # raises where the program lacks an option
    wanted = {"device": "0", "trials": 3, "finalists": 1, "seeds": 2, "quiet": True}
    assert {name: given[name] for name in wanted} == wanted


def test_the_training_that_lacks_memory_asks_for_an_absurd_batch_and_can_be_sent_to_a_child(
    digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []

    def run_alone(_place: Place, function: object, training: Training, **_: object) -> Failure:
        sent.extend(pickle.loads(pickle.dumps((function, training))))
        return Failure(state=State.OUT_OF_MEMORY, reason="CUDA out of memory")

    monkeypatch.setattr(Place, "run_alone", run_alone)
    assert programs.out_of_memory("0").passed
    _, training = sent
    assert (training.schedule.batch, training.device, training.data) == (100_000, "0", str(digits))


def test_only_a_failure_for_want_of_memory_passes() -> None:
    assert programs.judge_failure(Failure(state=State.OUT_OF_MEMORY, reason="CUDA out of memory")).passed
    assert not programs.judge_failure(Failure(state=State.FAILED, reason="RuntimeError: other")).passed
    assert not programs.judge_failure("mAP 0.4").passed


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["blocks, float32", "blocks, bfloat16 autocast", "blocks, channels_last"])
def test_blocks_on_a_real_gpu(name: str) -> None:
    outcome = checks()[name]()
    assert outcome.passed, outcome
