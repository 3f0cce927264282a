"""How long many modules take where they would stand in a detector, without building a detector for each.

A block alone in a loop has its weights and code in the nearest cache: on one core of a server CPU an attention
block of YOLOv5n took 0.25 ms alone and 0.33 ms within a pass at 128 px. So the base runs as it is, and behind each
of its layers another module, a guest, may be run on a map of its own and timed, its output thrown away. One pass
measures as many guests as there are sites.

Against a shared machine: guests take turns in a new order each round, and each pass has a speed of its own, the
median over the base's layers of their time over their usual time, by which its guests' times are divided. What is
usual is the lower quartile: interruptions only add, and to a long layer more often than to a short guest. (On two
cores with a load of 10, 128 blocks of YOLOv5n came within 8 % (standard deviation) of what processor time gives,
with no bias; by medians it was 20 to 24 %, and 30 % too low.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from harness.common.errors import UserError
from harness.latency.clocks import Clock
from harness.latency.intervals import Samples

# Passes with the same guests in a row; the first warms the caches up, and its times are thrown away.
_PASSES = 3
# Percentile of the times of a piece that counts as its time.
_USUAL = 25
# Rounds measured even beyond the time that they should take.
_FEWEST_ROUNDS = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Guest:
    """A module to time.

    Attributes:
        name: For messages.
        module: In eval mode, on the device.
        x: What it takes, (1, C, H, W).
        behind: Layers of the base behind which it may run; any of them.
    """

    name: str
    module: nn.Module
    x: Tensor
    behind: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class InPlace:
    """What was measured.

    Attributes:
        layers_ms: Time of each layer of the base, (layers,).
        guests_ms: Time of each guest, (guests,), at the speed at which the layers were measured; NaN of one whose
            turn did not come.
    """

    layers_ms: Samples
    guests_ms: Samples


def time_in_place(
    network: nn.Module,
    image: Tensor,
    guests: Sequence[Guest],
    *,
    clock: Clock,
    rounds: int,
    max_seconds: float,
    limit_s: float = math.inf,
    seed: int = 0,
) -> InPlace:
    """Time guests (probes) in context, and the layers of the network that they visit.

    Args:
        network: The base, fused and in eval mode, its layers in `model`; it is the same afterwards.
        image: What it takes.
        guests: At least one.
        clock: How layers and guests are timed.
        rounds: How often each guest has its turn; a turn is two times.
        max_seconds: After this no further round begins, but two there are within the limit.
        limit_s: After this no further turn begins, but one there is.
        seed: Of the turns.

    Raises:
        UserError: A time is zero, negative or not a number.
    """
    rng = np.random.default_rng(seed)
    course = _Course(network.model, clock)  # type: ignore[arg-type]
    passes: list[Samples] = []
    visits: list[dict[int, float]] = []
    started = clock.seconds()
    with torch.inference_mode(), course:
        for done in range(rounds):
            if done >= _FEWEST_ROUNDS and clock.seconds() - started > max_seconds:
                break
            for waiting in _turns(guests, rng):
                if passes and clock.seconds() - started > limit_s:
                    break
                for shot in range(_PASSES):
                    course.begin({layer: (guest, guests[guest]) for layer, guest in waiting.items()})
                    network(image)
                    if shot:
                        passes.append(course.layers_ms)
                        visits.append(course.guests_ms)
    times = np.array(passes)
    usual = np.percentile(times, _USUAL, axis=0)
    slowness = np.median(times / usual, axis=1)
    own: list[list[float]] = [[] for _ in guests]
    for visit, slow in zip(visits, slowness, strict=True):
        for guest, elapsed in visit.items():
            own[guest].append(elapsed / slow)
    found = [np.percentile(samples, _USUAL) if samples else math.nan for samples in own]
    return InPlace(layers_ms=usual, guests_ms=np.array(found))


def _turns(guests: Sequence[Guest], rng: np.random.Generator) -> list[dict[int, int]]:
    """Give every guest one turn, in random order, each as early as a layer that it may stand behind is free."""
    turns: list[dict[int, int]] = []
    queues: dict[int, int] = {}
    for guest in rng.permutation(len(guests)).tolist():
        layer = min(guests[guest].behind, key=lambda layer: queues.get(layer, 0))
        turn = queues.get(layer, 0)
        queues[layer] = turn + 1
        if turn == len(turns):
            turns.append({})
        turns[turn][layer] = guest
    return turns


@dataclass(eq=False)
class _Course:
    """Layers that are timed while it is entered, each with the guest behind it if one waits there."""

    layers: Sequence[nn.Module]
    clock: Clock
    waiting: Mapping[int, tuple[int, Guest]] = field(default_factory=dict)
    layers_ms: Samples = field(default_factory=lambda: np.zeros(0))
    guests_ms: dict[int, float] = field(default_factory=dict)

    _forwards: list[Callable[..., object]] = field(default_factory=list)

    def begin(self, waiting: Mapping[int, tuple[int, Guest]]) -> None:
        self.waiting, self.layers_ms, self.guests_ms = waiting, np.zeros(len(self.layers)), {}

    def __enter__(self) -> None:
        self._forwards = [layer.forward for layer in self.layers]
        for index, (layer, forward) in enumerate(zip(self.layers, self._forwards, strict=True)):
            layer.forward = partial(self._layer, index, forward)

    def __exit__(self, *_: object) -> None:
        for layer, forward in zip(self.layers, self._forwards, strict=True):
            layer.forward = forward  # a fused layer's was its own, not its class's

    def _layer(self, index: int, forward: Callable[..., object], *inputs: object) -> object:
        outputs: list[object] = []
        self.layers_ms[index] = self._milliseconds(lambda: outputs.append(forward(*inputs)), f"layer {index}")
        if index in self.waiting:
            number, guest = self.waiting[index]
            self.guests_ms[number] = self._milliseconds(lambda: guest.module(guest.x), guest.name)
        return outputs[0]

    def _milliseconds(self, work: Callable[[], object], what: str) -> float:
        elapsed = self.clock.milliseconds(work)
        if not (math.isfinite(elapsed) and elapsed > 0):
            raise UserError(f"latency: {what} took {elapsed} ms by the clock; it is above 0")
        return elapsed
