"""What a latency table is made of: each block of a space timed once, and some architectures end to end.

A block is timed within passes of the base (`harness.latency.in_place`) and kept as a share of the base's time, so
that a machine that is slower today is so for both. Sites whose maps are alike share their blocks. What was measured
is kept in the cache folder as it comes: an interrupted survey goes on where it was, and so does one that met its limit.

On a quiet machine a survey takes as long as it should, well below its limit. Beside other programs its least number of
passes takes many times as long: then it ends at the limit, and leaves what is missing to be estimated
(`harness.latency.table`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from filelock import FileLock, Timeout
from pydantic import BaseModel, Field, ValidationError

from harness.architecture import MapSize, Placement
from harness.common.atomic import write_whole
from harness.common.digest import file_digest, json_digest
from harness.common.errors import UserError
from harness.common.exclusive import Machine
from harness.common.isolation import cache_folder
from harness.common.machine import environment, resolve_device
from harness.common.version import version
from harness.detectors import Base, Site, build, insert
from harness.detectors.insert import block_row
from harness.detectors.parser import KEEPING
from harness.latency.clocks import Clock, clock_for
from harness.latency.in_place import Guest, time_in_place
from harness.latency.latency import interleaved_latency
from harness.space import SearchSpace
from harness.space.table import SpaceTable

# Blocks that are built at a time; what was measured is kept after each such lot.
_AT_ONCE = 128
_ROUNDS = 6
# Share of the limit after which no more blocks are timed; without architectures the table has no error to tell.
_BLOCKS_SHARE = 0.6
# Time limit of an architecture that is begun just before the survey's; it has its five rounds all the same.
_LEAST_S = 0.1
# How long it waits for another search before it says so.
_UNSAID_S = 1.0
_SEED = 0
_CLASSES = {layer.__name__: layer for layer in KEEPING}


# Called with the phase, or what is waited for, and the finished and the total steps.
Progress = Callable[[str, int, int], None]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class EndToEnd(BaseModel):
    """An architecture measured as a whole.

    Attributes:
        numbers: The architecture as a row of `Indices`.
        ratio: Its latency over the base's.
        ratio_ci95: The ratio's interval.
        base_ms: Median pass of the base meanwhile, in ms.
    """

    numbers: list[int]
    ratio: _Positive
    ratio_ci95: tuple[_Positive, _Positive]
    base_ms: _Positive


class Measurements(BaseModel):
    """What is known of a space on a device; the cache file.

    Attributes:
        layers: What each site's layer takes, in passes of the base; where a block may replace it.
        blocks: What each block takes, by `block_id`, in passes of the base.
        end_to_end: Architectures measured as a whole.
    """

    layers: dict[str, _Positive] = {}
    blocks: dict[str, _Positive] = {}
    end_to_end: list[EndToEnd] = []


def block_id(placement: Placement, channels: int, map_size: MapSize) -> str:
    """Identify a block by what its latency depends on: its row in a model description, and its map."""
    return json.dumps([*block_row(placement, channels), *map_size])


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What is to be measured. float32, batch 1; torch's CPU threads are as they are when it runs.

    A registered block is timed as it is built: batch norms of its own aren't merged into its convolutions.

    Attributes:
        space: The space.
        base: Its base.
        sites: The base's sites.
        imgsz: Side of the square input, in pixels.
        classes: Number of classes of the data; the base's own by default.
        device: `auto`, `cpu` or the number of a CUDA device.
        clock: Default: as in `interleaved_latency`.
        architectures: How many to measure end to end.
        max_seconds: About what timing the blocks should take; two rounds are measured within the limit.
        seconds_each: What measuring one architecture end to end should take; it has five rounds at least.
        limit_s: Most seconds of all, waiting for others to measure not counted. What is begun then is finished: a turn
            of blocks, or an architecture.
        on_progress: Told what happens, and what is waited for.
    """

    space: SearchSpace
    base: Base
    sites: Mapping[str, Site]
    imgsz: int
    classes: int | None = None
    device: str = "cpu"
    clock: Clock | None = None
    architectures: int = 24
    max_seconds: float = 60.0
    seconds_each: float = 2.0
    limit_s: float = math.inf
    on_progress: Progress = field(default=lambda *_: None)

    def run(self) -> Measurements:
        """Measure what the cache lacks, as far as the limit allows.

        Raises:
            UserError: A site is not the base's, the device is not there, or a time is zero or not a number.
        """
        if missing := [site for site in self.space.sites if site not in self.sites]:
            raise UserError(f"space '{self.space.file.name}': {self.base.name} has no site {', '.join(missing)}")
        path = self._file()
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{path}.lock")
        try:
            lock.acquire(timeout=_UNSAID_S)
        except Timeout:
            self.on_progress("waiting for another search, which measures the same blocks", 0, 0)
            lock.acquire()
        try:
            known = _read(path)
            time = _Time(clock=self._timer, limit_s=self.limit_s)
            self._measure_blocks(known, path, time)
            self._measure_architectures(known, path, time)
        finally:
            lock.release()
        return known

    def _file(self) -> Path:
        about = environment(device=self._place, data_fingerprint=None, command=())
        key = {
            "space": self.space.file.model_dump(mode="json"),
            "block_files": [file_digest(file) for file in self.space.file.block_files],
            "base": self.base.fingerprint,
            "classes": self.classes,
            "imgsz": self.imgsz,
            "cpu": about["cpu"],
            "device": {**about["device"], "threads": torch.get_num_threads()},
            "clock": type(self._timer).__name__,
            "versions": {"clo-nas": version(), "torch": torch.__version__},
        }
        digest = json_digest(key)[:16]
        return cache_folder() / "latency" / f"{self.space.file.name}-{self.base.name}-{digest}.json"

    def _measure_blocks(self, known: Measurements, path: Path, time: _Time) -> None:
        blocks = {name: found for name, found in self._blocks().items() if name not in known.blocks}
        if not blocks:
            return
        machine, network = Machine(), self.base.build(self.classes).eval().requires_grad_(False)
        network.fuse(verbose=False)
        network.to(self._torch_device, memory_format=self._memory_format)
        image = self._map(3, (self.imgsz, self.imgsz))
        order = np.random.default_rng(_SEED).permutation(list(blocks)).tolist()
        for start in range(0, len(order), _AT_ONCE):
            if start and time.left(_BLOCKS_SHARE) <= 0:
                break
            tell = self._teller(start, len(order))
            tell("timing blocks")
            lot = order[start : start + _AT_ONCE]
            guests = [self._guest(name, *blocks[name]) for name in lot]
            with time.alone(machine, tell):
                times = time_in_place(
                    network,
                    image,
                    guests,
                    clock=self._timer,
                    rounds=_ROUNDS,
                    max_seconds=self.max_seconds * len(lot) / len(order),
                    limit_s=max(0.0, time.left(_BLOCKS_SHARE)),
                    seed=_SEED + start,
                )
            base_ms = times.layers_ms.sum()
            shares = (times.guests_ms / base_ms).tolist()
            known.blocks.update((name, share) for name, share in zip(lot, shares, strict=True) if math.isfinite(share))
            for name in self.space.sites:
                if self.sites[name].replaceable:
                    known.layers[name] = float(times.layers_ms[self.sites[name].layer] / base_ms)
            _write(path, known)

    def _measure_architectures(self, known: Measurements, path: Path, time: _Time) -> None:
        numbering, rng = SpaceTable(self.space), np.random.default_rng(_SEED)
        machine, network = Machine(), self.base.build(self.classes)
        for done in range(self.architectures):
            numbers = numbering.draw(1, rng)[0]
            if numbers.tolist() in [each.numbers for each in known.end_to_end]:
                continue
            if time.left() <= 0:
                break
            tell = self._teller(done, self.architectures)
            tell("measuring architectures")
            config = insert(self.base, numbering.architecture(numbers), sites=self.sites, classes=self.classes)
            with time.alone(machine, tell):
                latency = interleaved_latency(
                    build(config),
                    network,
                    imgsz=self.imgsz,
                    device=self._place,
                    max_seconds=max(_LEAST_S, min(self.seconds_each, time.left())),
                    clock=self.clock,
                )
            known.end_to_end.append(
                EndToEnd(
                    numbers=numbers.tolist(),
                    ratio=latency.ratio,
                    ratio_ci95=latency.ratio_ci95,
                    base_ms=latency.baseline.p50,
                )
            )
            _write(path, known)

    def _teller(self, done: int, total: int) -> Callable[[str], None]:
        return lambda phase: self.on_progress(phase, done, total)

    def _blocks(self) -> dict[str, tuple[Placement, int, MapSize]]:
        """Return every block of the space once, with the channels and the size of its map."""
        return {
            block_id(placement, channels, size): (placement, channels, size)
            for site in self.space.sites
            for size in [self.sites[site].map_size(self.imgsz)]
            for placement in self.space.placements[site]
            for channels in self.sites[site].block_channels(placement.mode)
        }

    def _guest(self, name: str, placement: Placement, channels: int, size: MapSize) -> Guest:
        kind, arguments = block_row(placement, channels)
        module = _CLASSES[kind](*arguments).eval().requires_grad_(False)
        module.to(self._torch_device, memory_format=self._memory_format)  # type: ignore[call-overload]  # as in latency
        alike = [self.sites[site] for site in self.space.sites if self.sites[site].map_size(self.imgsz) == size]
        return Guest(name=name, module=module, x=self._map(channels, size), behind=tuple(site.layer for site in alike))

    def _map(self, channels: int, size: MapSize) -> torch.Tensor:
        values = torch.rand(1, channels, *size, generator=torch.Generator().manual_seed(_SEED))
        return values.to(self._torch_device).contiguous(memory_format=self._memory_format)

    @property
    def _place(self) -> str:
        return resolve_device(self.device)

    @property
    def _torch_device(self) -> torch.device:
        return torch.device("cpu" if self._place == "cpu" else f"cuda:{self._place.partition(',')[0]}")

    @property
    def _memory_format(self) -> torch.memory_format:
        """That of `interleaved_latency`."""
        return torch.contiguous_format if self._place == "cpu" else torch.channels_last

    @property
    def _timer(self) -> Clock:
        return self.clock or clock_for(self._torch_device)


@dataclass(kw_only=True, eq=False)
class _Time:
    """What a survey has taken of its limit, without what it waited."""

    clock: Clock
    limit_s: float
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock.seconds()

    def left(self, share: float = 1.0) -> float:
        """Return the seconds until this share of the limit is over; below 0 after it."""
        return share * self.limit_s - (self.clock.seconds() - self.started)

    @contextmanager
    def alone(self, machine: Machine, tell: Callable[[str], None]) -> Iterator[None]:
        """Hold the machine while nothing else of clo-nas runs; until then the time does not count."""
        asked = self.clock.seconds()
        with machine.alone(lambda what: tell(f"waiting for {what}")):
            self.started += self.clock.seconds() - asked
            yield


def _read(path: Path) -> Measurements:
    """Read what was kept; nothing if the file is not there or is not whole."""
    try:
        return Measurements.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return Measurements()


def _write(path: Path, known: Measurements) -> None:
    write_whole(path, known.model_dump_json().encode())
