from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.common.errors import UserError
from harness.latency.in_place import Guest, InPlace, time_in_place
from tests.latency.test_latency import FakeClock

LAYERS_MS = (5.0, 3.0, 2.0, 4.0)
GUESTS_MS = (0.5, 1.5, 0.25, 6.0, 1.0)
BEHIND = ((1,), (1, 2), (2,), (1, 2), (3,))


class Fake(nn.Module):
    """Takes `milliseconds` of a fake clock."""

    def __init__(self, name: str, clock: FakeClock, milliseconds: float) -> None:
        super().__init__()
        self.name, self.clock, self.duration = name, clock, milliseconds

    def forward(self, x: Tensor) -> Tensor:
        self.clock.log.append(self.name)
        self.clock.now += self.duration * self.clock.slowness(self.clock.now)
        return x + 1


class Network(nn.Module):
    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.model = nn.Sequential(*(Fake(f"layer {i}", clock, ms) for i, ms in enumerate(LAYERS_MS)))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.model(x)
        return y


def timed(
    clock: FakeClock,
    network: Network | None = None,
    rounds: int = 6,
    max_seconds: float = math.inf,
    limit_s: float = math.inf,
) -> InPlace:
    guests = [
        Guest(name=f"guest {i}", module=Fake(f"guest {i}", clock, ms), x=torch.zeros(1, 1, 1, 1), behind=behind)
        for i, (ms, behind) in enumerate(zip(GUESTS_MS, BEHIND, strict=True))
    ]
    network = network or Network(clock)
    return time_in_place(
        network, torch.zeros(1), guests, clock=clock, rounds=rounds, max_seconds=max_seconds, limit_s=limit_s
    )


def test_layers_and_guests_take_what_they_take() -> None:
    times = timed(FakeClock())
    assert times.layers_ms == pytest.approx(LAYERS_MS)
    assert times.guests_ms == pytest.approx(GUESTS_MS)


def test_every_guest_has_as_many_turns_and_runs_behind_its_layers_alone() -> None:
    clock = FakeClock()
    timed(clock, rounds=4)
    assert {clock.log.count(f"guest {i}") for i in range(len(GUESTS_MS))} == {4 * 3}
    before: dict[int, set[str]] = {i: set() for i in range(len(GUESTS_MS))}
    for layer, guest in zip(clock.log, clock.log[1:], strict=False):
        if guest.startswith("guest"):
            before[int(guest[-1])].add(layer)
    assert all(found <= {f"layer {i}" for i in behind} for found, behind in zip(before.values(), BEHIND, strict=True))


def test_sites_share_passes() -> None:
    clock = FakeClock()
    timed(clock, rounds=1)
    # Four guests at layers 1 and 2 and one at layer 3 are two or three turns of three passes each, twice.
    assert clock.log.count("layer 0") in {2 * 3, 3 * 3}


def test_a_machine_of_two_speeds_moves_no_share() -> None:
    times = timed(FakeClock(lambda now: 2.5 if (now // 137) % 2 else 1.0), rounds=20)
    shares = times.guests_ms / times.layers_ms.sum()
    assert shares == pytest.approx(np.array(GUESTS_MS) / sum(LAYERS_MS), rel=1e-6)


def test_a_tenth_of_interrupted_pieces_moves_no_time() -> None:
    rng = np.random.default_rng(0)
    times = timed(FakeClock(lambda now: 20.0 if rng.random() < 0.1 else 1.0), rounds=12)
    assert times.layers_ms == pytest.approx(LAYERS_MS)
    assert times.guests_ms == pytest.approx(GUESTS_MS)


def test_past_the_limit_no_turn_begins_and_whose_did_not_come_has_no_time() -> None:
    clock = FakeClock()
    times = timed(clock, rounds=50, limit_s=1e-6)
    assert clock.log.count("layer 0") == 3  # one turn
    came = np.array([clock.log.count(f"guest {i}") for i in range(len(GUESTS_MS))]) > 0
    assert 0 < came.sum() < len(GUESTS_MS)
    assert times.guests_ms[came] == pytest.approx(np.array(GUESTS_MS)[came])
    assert np.isnan(times.guests_ms[~came]).all()
    assert times.layers_ms == pytest.approx(LAYERS_MS)


def test_past_the_time_that_they_should_take_two_rounds_are_measured() -> None:
    clock = FakeClock()
    times = timed(clock, rounds=50, max_seconds=1e-6)
    assert clock.log.count("guest 0") == 2 * 3
    assert times.guests_ms == pytest.approx(GUESTS_MS)


def test_the_network_computes_the_same_during_and_after() -> None:
    clock = FakeClock()
    network = Network(clock)
    network.model[1].forward = lambda x: x + 10  # as fusing leaves a layer
    clock_of_one = FakeClock()
    clock_of_one.milliseconds = lambda work: (work(), 1.0)[1]  # type: ignore[method-assign]
    expected = network(torch.zeros(1))
    seen: list[Tensor] = []
    network.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    guests = [Guest(name="guest", module=nn.Identity(), x=torch.zeros(1), behind=(2,))]
    time_in_place(network, torch.zeros(1), guests, clock=clock_of_one, rounds=1, max_seconds=1)
    log = len(clock.log)
    assert torch.equal(network(torch.zeros(1)), expected) and len(clock.log) == log + 3
    assert all(torch.equal(output, expected) for output in seen) and len(seen) == 4


@pytest.mark.parametrize("elapsed", [0.0, -1.0, math.nan, math.inf])
def test_a_time_that_is_none_is_refused(elapsed: float) -> None:
    clock = FakeClock(lambda now: elapsed / GUESTS_MS[2] if clock.log[-1] == "guest 2" else 1.0)
    with pytest.raises(UserError, match=r"guest 2 took (0\.0|-1\.0|nan|inf) ms by the clock; it is above 0"):
        timed(clock)


def test_the_network_is_itself_again_after_a_fault() -> None:
    clock = FakeClock(lambda now: 0.0)
    network = Network(clock)
    with pytest.raises(UserError, match="layer 0 took"):
        timed(clock, network)
    assert torch.equal(network(torch.zeros(1)), torch.full((1,), float(len(LAYERS_MS))))
