from __future__ import annotations

import copy
import gc
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.common.errors import UserError
from harness.latency.conditions import Conditions
from harness.latency.intervals import LONGER
from harness.latency.latency import Latency, Stop, interleaved_latency
from harness.latency.runtimes import Dtype, MemoryFormat, Mode, Runtime

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@dataclass
class FakeClock:
    """Time passes only while fake models work."""

    slowness: Callable[[float], float] = lambda now: 1.0
    """Factor on the duration of work that starts at a time, in ms."""
    now: float = 0.0
    log: list[str] = field(default_factory=list)

    def seconds(self) -> float:
        return self.now / 1000

    def milliseconds(self, work: Callable[[], object]) -> float:
        before = self.now
        work()
        return self.now - before

    def pause(self, seconds: float) -> None:
        self.now += 1000 * seconds

    def __deepcopy__(self, memo: object) -> FakeClock:
        return self


class FakeModel(nn.Module):
    """Takes `milliseconds` of a fake clock, and once more for every pass that is missing to `cold`."""

    def __init__(self, name: str, clock: FakeClock, milliseconds: float, cold: int = 0) -> None:
        super().__init__()
        self.name, self.clock, self.duration, self.cold = name, clock, milliseconds, cold

    def forward(self, x: Tensor) -> Tensor:
        self.clock.log.append(self.name)
        self.clock.now += self.duration * (1 + max(self.cold, 0)) * self.clock.slowness(self.clock.now)
        self.cold -= 1
        return x


def timed(
    clock: FakeClock,
    a: float = 6.0,
    b: float = 5.0,
    *,
    cold: int = 0,
    max_seconds: float = 20.0,
    min_rounds: int = 25,
) -> Latency:
    return interleaved_latency(
        FakeModel("A", clock, a, cold),
        FakeModel("B", clock, b, cold),
        imgsz=8,
        max_seconds=max_seconds,
        min_rounds=min_rounds,
        clock=clock,
    )


def noise(scale: float, seed: int = 0) -> Callable[[float], float]:
    rng = np.random.default_rng(seed)
    return lambda now: float(np.exp(rng.normal(0, scale)))


# --- Turns --------------------------------------------------------------------------------------


def test_each_round_is_a_b_b_a_or_b_a_a_b_drawn_at_random() -> None:
    clock = FakeClock()
    latency = timed(clock, min_rounds=200)
    rounds = ["".join(clock.log[start : start + 4]) for start in range(0, len(clock.log), 4)]
    assert len(rounds) == latency.warm_up_rounds + latency.rounds + unmeasured(latency)
    assert set(rounds) == {"ABBA", "BAAB"}
    assert 70 <= latency.candidate_first.sum() <= 130  # 100 ± 4 binomial deviations of 7


@pytest.mark.parametrize("renews", [True, False])
def test_a_disturbance_in_the_rhythm_of_the_rounds_does_not_move_the_ratio(
    renews: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a fixed order it meets the same places of every round: the interval then held the truth in 10 to 13 %."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    simulated = import_module("latency_coverage")
    found = simulated.periodic_coverage(simulated.Disturbance(period_ms=16.4), renews=renews, runs=25)
    assert found.covered >= 0.76  # 95 % would be missed by this much once in 1000


def unmeasured(latency: Latency) -> int:
    """Rounds between two groups, right after the models were copied."""
    return math.ceil(latency.rounds / latency.rounds_a_group) - 1


def test_models_are_copied_anew_so_that_where_they_lie_in_memory_does_not_decide() -> None:
    """A copy is faster or slower by 1 % for as long as it lives, as it may be in real memory."""
    rng = np.random.default_rng(0)

    class Placed(FakeModel):
        def __deepcopy__(self, memo: object) -> Placed:
            return Placed(self.name, self.clock, 5 * math.exp(rng.normal(0, 0.01)))

    def ratio() -> Latency:
        clock = FakeClock(noise(0.001))
        models = Placed("A", clock, 5), Placed("B", clock, 5)
        return interleaved_latency(*models, imgsz=8, clock=clock, target_half_width=1e-4, max_seconds=3.0)

    found = [ratio() for _ in range(20)]
    assert {latency.rounds_a_copy for latency in found} == {5}
    assert sum(latency.ratio_ci95[0] <= 1 <= latency.ratio_ci95[1] for latency in found) >= 17
    assert np.std([latency.ratio for latency in found]) < 0.006  # one pair of copies: 0.014


def test_a_slow_model_is_copied_after_fewer_rounds() -> None:
    assert timed(FakeClock(), a=60, b=60, max_seconds=6).rounds_a_copy == 2  # 12 copies of 2 rounds of 240 ms
    assert timed(FakeClock(), a=600, b=600, max_seconds=6).rounds_a_copy == 1


def test_the_ratio_is_candidate_over_baseline() -> None:
    latency = timed(FakeClock(), a=6, b=5)
    assert latency.ratio == pytest.approx(6 / 5)
    assert latency.ratio_ci95 == pytest.approx((6 / 5, 6 / 5))
    assert (latency.candidate.p50, latency.baseline.p50) == pytest.approx((6, 5))


def test_a_linear_drift_cancels_where_one_model_after_the_other_would_be_wrong() -> None:
    def grows_by_half_in_a_second(now: float) -> float:
        return 1 + now / 2000

    latency = timed(FakeClock(grows_by_half_in_a_second), a=5, b=5, min_rounds=50)
    assert latency.ratio == pytest.approx(1, abs=1e-4)

    clock = FakeClock(grows_by_half_in_a_second)
    first, second = (
        sum(clock.milliseconds(lambda: FakeModel("", clock, 5)(torch.zeros(1))) for _ in range(100)) for _ in range(2)
    )
    assert second / first > 1.2


def test_a_machine_that_alternates_between_two_speeds_does_not_move_the_ratio() -> None:
    latency = timed(FakeClock(lambda now: 2.5 if (now // 137) % 2 else 1.0), a=6, b=5)
    assert latency.ratio == pytest.approx(6 / 5, rel=0.01)


def test_a_fifth_of_interrupted_passes_does_not_move_the_ratio() -> None:
    rng = np.random.default_rng(0)
    latency = timed(FakeClock(lambda now: 20.0 if rng.random() < 0.05 else 1.0), a=6, b=5)
    assert latency.ratio == pytest.approx(6 / 5, rel=0.02)
    assert latency.candidate.p99 > 10 * latency.candidate.p50


# --- Beginning and end --------------------------------------------------------------------------


def test_warming_up_goes_on_until_it_no_longer_gets_faster_and_is_thrown_away() -> None:
    latency = timed(FakeClock(), cold=20)  # passes of each: 10 rounds
    assert 10 <= latency.warm_up_rounds < 20
    assert latency.candidate.samples == pytest.approx(6)


def test_warming_up_takes_at_most_its_share_of_the_time() -> None:
    clock = FakeClock(lambda now: 0.7 ** (now / 100))  # ever faster
    assert timed(clock, max_seconds=0.5, min_rounds=1000).warm_up_rounds < 8


def test_it_stops_when_the_interval_is_narrow_enough() -> None:
    latency = timed(FakeClock(noise(0.05)))
    low, high = latency.ratio_ci95
    assert latency.stopped is Stop.PRECISE
    assert (high - low) / 2 <= LONGER * 0.01 * latency.ratio
    assert low < 6 / 5 < high
    assert latency.rounds > 25


def test_steady_models_need_no_more_than_the_fewest_rounds() -> None:
    assert timed(FakeClock(), min_rounds=30).rounds == 30


def test_it_stops_at_the_time_limit_and_says_so() -> None:
    clock = FakeClock(noise(1.0))
    latency = timed(clock, max_seconds=2)
    low, high = latency.ratio_ci95
    assert latency.stopped is Stop.TIME_LIMIT
    assert 2 <= clock.seconds() < 2.5
    assert high - low > 0.02 * latency.ratio


def test_a_model_slower_than_the_time_limit_is_still_measured_five_times() -> None:
    latency = timed(FakeClock(), a=60_000, b=50_000)
    assert (latency.stopped, latency.rounds) == (Stop.TIME_LIMIT, 5)
    assert latency.ratio == pytest.approx(6 / 5)


# --- What is recorded ---------------------------------------------------------------------------


def test_percentiles_and_repetitions_are_of_every_pass() -> None:
    latency = timed(FakeClock(noise(0.3)), max_seconds=3)
    samples = latency.baseline.samples
    assert latency.baseline.repetitions == len(samples) == 2 * latency.rounds
    assert latency.baseline.p90 == pytest.approx(np.percentile(samples, 90))
    assert latency.baseline.p50 < latency.baseline.p90 < latency.baseline.p99


def test_conditions_are_recorded_and_plain_json() -> None:
    plain = timed(FakeClock()).to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["nms"] == "not included"
    assert plain["stopped"] == "precise"
    assert (plain["device"], plain["dtype"], plain["memory_format"]) == ("cpu", "float32", "contiguous")
    assert (plain["imgsz"], plain["batch"], plain["fused"]) == (8, 1, False)
    assert plain["threads"] == torch.get_num_threads()
    assert set(plain["candidate"]) == {"latency_ms_p50", "latency_ms_p90", "latency_ms_p99", "repetitions"}
    assert (plain["mode"], plain["engine"]) == ("eager", f"torch {torch.__version__}")
    assert (plain["l2_cache"], plain["tf32"], plain["cuda"]) == ("warm", False, None)
    assert (plain["target_half_width"], plain["max_seconds"]) == (0.01, 20.0)
    assert set(plain["before"]) == set(plain["after"]) == {"load_average", "cpu_mhz", "gpu"}


def test_how_the_models_ran_is_recorded() -> None:
    runtime = Runtime(mode=Mode.EAGER, dtype=Dtype.BF16, memory_format=MemoryFormat.CHANNELS_LAST, fused=False)
    latency = interleaved_latency(
        conv_net(4), conv_net(4), imgsz=8, batch=2, runtime=runtime, max_seconds=0.1, min_rounds=5
    )
    assert (latency.dtype, latency.memory_format, latency.fused) == ("bfloat16", "channels_last", False)
    assert latency.batch == 2


def test_the_conditions_are_read_before_and_after_and_never_between(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()

    def now(device: torch.device) -> Conditions:
        clock.log.append("conditions")
        return Conditions(load_average=float(clock.now), cpu_mhz=None, gpu=None)

    monkeypatch.setattr(Conditions, "now", now)
    latency = timed(clock)
    passes = 4 * (latency.rounds + latency.warm_up_rounds + unmeasured(latency))
    assert [place for place, name in enumerate(clock.log) if name == "conditions"] == [0, passes + 1]
    assert latency.before.load_average == 0
    assert latency.after.load_average == pytest.approx(clock.now)


def test_the_models_are_fused_copies_in_eval_mode_without_gradients_or_garbage_collection() -> None:
    seen: list[tuple[bool, ...]] = []

    class Fusible(nn.Module):
        fused = False

        def fuse(self, verbose: bool = True) -> None:
            self.fused = not verbose

        def forward(self, x: Tensor) -> Tensor:
            seen.append((self.fused, self.training, torch.is_inference_mode_enabled(), gc.isenabled()))
            return x

    model = Fusible()
    latency = interleaved_latency(model, model, imgsz=8, max_seconds=0.2)
    assert set(seen) == {(True, False, True, False)}
    assert latency.fused and model.training and not model.fused and gc.isenabled()


# --- Bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize("time", [0.0, -1.0, math.nan, math.inf])
def test_a_time_that_is_none_is_refused(time: float) -> None:
    class BrokenClock(FakeClock):
        def milliseconds(self, work: Callable[[], object]) -> float:
            return time

    with pytest.raises(UserError, match=r"a pass of the (candidate|baseline) took"):
        timed(BrokenClock())
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("option", "value"),
    [("batch", 0), ("min_rounds", 0), ("target_half_width", 0.0), ("max_seconds", math.nan)],
)
def test_an_option_that_makes_no_sense_is_refused(option: str, value: float) -> None:
    options = {"imgsz": 8, option: value}
    with pytest.raises(UserError, match=f"{option} is {value}"):
        interleaved_latency(nn.Identity(), nn.Identity(), **options)  # type: ignore[arg-type]


def test_an_image_size_that_the_stride_does_not_divide_is_refused() -> None:
    model = FakeModel("A", FakeClock(), 5)
    model.stride = torch.tensor([8.0, 32.0])
    with pytest.raises(UserError, match="image size 100: the model's largest stride is 32"):
        interleaved_latency(FakeModel("B", FakeClock(), 5), model, imgsz=100)


def test_an_engine_that_this_device_has_not_is_refused() -> None:
    with pytest.raises(UserError, match="mode cuda_graphs runs on a CUDA device"):
        interleaved_latency(nn.Identity(), nn.Identity(), imgsz=8, runtime=Runtime(mode=Mode.CUDA_GRAPHS))


@pytest.mark.parametrize("device", ["cuda:99", "99", "99,1", "abacus", "meta"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(UserError, match=f"device {device}"):
        interleaved_latency(nn.Identity(), nn.Identity(), imgsz=8, device=device)


# --- Real models --------------------------------------------------------------------------------


def conv_net(width: int) -> nn.Module:
    layers = [nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.SiLU(), nn.Conv2d(width, width, 3), nn.SiLU()]
    return nn.Sequential(*layers)


@pytest.mark.slow
def test_a_model_against_its_copy_has_a_ratio_near_one() -> None:
    model = conv_net(16)
    latency = interleaved_latency(model, copy.deepcopy(model), imgsz=64, max_seconds=5)
    low, high = latency.ratio_ci95
    assert low <= latency.ratio <= high
    assert 0.8 < latency.ratio < 1.25  # loose: the machine may be busy


@pytest.mark.slow
def test_eight_times_the_work_is_measured_as_slower() -> None:
    latency = interleaved_latency(conv_net(64), conv_net(8), imgsz=64, max_seconds=5)
    assert latency.ratio_ci95[0] > 1.5


@pytest.mark.cuda
@pytest.mark.parametrize("mode", [Mode.EAGER, Mode.CUDA_GRAPHS])
@pytest.mark.parametrize("dtype", [Dtype.FP32, Dtype.FP16])
def test_on_cuda_kernels_are_timed_and_not_their_launch(mode: Mode, dtype: Dtype) -> None:
    runtime = Runtime(mode=mode, dtype=dtype)
    latency = interleaved_latency(
        conv_net(256), conv_net(256), imgsz=256, batch=8, device="0", runtime=runtime, max_seconds=10
    )
    assert latency.l2_cache == "flushed" and latency.after.gpu
    assert latency.memory_format == "channels_last"
    assert latency.device == torch.cuda.get_device_name(0)
    assert 0.8 < latency.ratio < 1.25
