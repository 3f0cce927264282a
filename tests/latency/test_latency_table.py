from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from harness.common.errors import UserError
from harness.common.exclusive import Machine
from harness.common.isolation import cache_folder
from harness.detectors import Base, Site, build, find_sites, insert, map_sizes, mode_channels, resolve_base
from harness.latency import survey as latency_survey
from harness.latency.latency import interleaved_latency
from harness.latency.survey import EndToEnd, Measurements, Survey, block_id
from harness.latency.table import LatencyTable
from harness.space import SearchSpace
from harness.space.space_file import SpaceFile

IMGSZ = 64
SPACE = SpaceFile.model_validate(
    {
        "name": "synthetic",
        "sites": ["backbone.P4", "backbone.P5", "neck.P4", "neck.P5"],
        "max_blocks": 3,
        "placement": {
            "kind": ["attention", "block"],
            "mode": ["after", "inside", "replace"],
            "kernel": [3],
            "kv_pool": [1],
            "heads": [4],
            "local_share": [0.5],
            "ffn_ratio": [2],
        },
    }
)


class CountingClock(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """An operator takes 1 ms for every thousand values that it puts out: exact and additive.

    Each timed piece also lets an hour pass, so that every time limit is over at once.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.worked = 0
        self.pieces = 0

    def seconds(self) -> float:
        return 3600.0 * self.pieces

    def milliseconds(self, work: Callable[[], object]) -> float:
        self.pieces += 1
        before = self.worked
        with self:
            work()
        return (self.worked - before) / 1000

    def pause(self, seconds: float) -> None:
        """Nothing to wait for."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        self.worked += output.numel() if isinstance(output, Tensor) else 0
        return output


@pytest.fixture
def clock() -> CountingClock:
    return CountingClock()


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("CLO_NAS_CACHE", str(tmp_path))
    return cache_folder()


@cache
def setting() -> tuple[SearchSpace, Base, dict[str, Site]]:
    base = resolve_base("yolov5n")
    sites = find_sites(base)
    space = SearchSpace(SPACE, base=base.name, channels=mode_channels(sites), maps=map_sizes(sites, IMGSZ))
    return space, base, sites


def survey(clock: CountingClock | None, **options: Any) -> Survey:
    space, base, sites = setting()
    return replace(Survey(space=space, base=base, sites=sites, imgsz=IMGSZ, clock=clock, architectures=4), **options)


def made_up(**options: Any) -> Measurements:
    """Every block takes a tenth of a pass, every layer a quarter; five architectures without error."""
    space, _, sites = setting()
    blocks = {
        block_id(placement, channels, space.maps[site]): 0.1
        for site, placements in space.placements.items()
        for placement in placements
        for channels in sites[site].block_channels(placement.mode)
    }
    after = [[1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1], [1, 1, 1, 0]]
    ends = [
        EndToEnd(numbers=row, ratio=1 + 0.1 * np.count_nonzero(row), ratio_ci95=(1, 2), base_ms=ms)
        for row, ms in zip(after, (4, 5, 9, 5, 6), strict=True)
    ]
    return Measurements(blocks=blocks, layers=dict.fromkeys(space.sites, 0.25), end_to_end=ends).model_copy(
        update=options
    )


# --- Measured --------------------------------------------------------------------------------------


def test_where_time_is_additive_the_estimate_is_what_is_measured_end_to_end(
    clock: CountingClock, own_cache: Path
) -> None:
    space, base, sites = setting()
    told: list[str] = []
    measured = survey(clock, on_progress=lambda phase, *_: told.append(phase)).run()
    assert list(dict.fromkeys(told)) == ["timing blocks", "measuring architectures"]
    table = LatencyTable(space, sites, measured)
    assert table.calibration.fit == pytest.approx((0, 1), abs=1e-6)
    assert table.relative_error == pytest.approx(0, abs=1e-6)
    modes = {
        placement.mode
        for each in measured.end_to_end
        for placement in table.architecture(np.array(each.numbers)).placements
    }
    assert len(measured.end_to_end) == 4 and len(modes) == 3

    unseen = table.draw(1, np.random.default_rng(99))
    assert unseen[0].tolist() not in [each.numbers for each in measured.end_to_end]
    candidate = build(insert(base, table.architecture(unseen[0]), sites=sites))
    latency = interleaved_latency(candidate, base.build(), imgsz=IMGSZ, clock=clock)
    assert table.ratio(unseen) == pytest.approx([latency.ratio])
    assert table.of(unseen) == pytest.approx([latency.candidate.p50])

    # Once more: nothing is timed, and the same comes out.
    pieces = clock.pieces
    assert survey(clock).run() == measured
    assert clock.pieces == pieces


def test_what_is_missing_is_measured_and_a_file_that_is_not_whole_counts_as_none(
    clock: CountingClock, own_cache: Path
) -> None:
    class StoppedError(Exception):
        pass

    def stop(phase: str, done: int, _total: int) -> None:
        if phase == "measuring architectures" and done == 1:
            raise StoppedError

    with pytest.raises(StoppedError):
        survey(clock, on_progress=stop).run()
    [file] = (own_cache / "latency").glob("synthetic-yolov5n-*.json")
    kept = Measurements.model_validate_json(file.read_text())
    assert len(kept.end_to_end) == 1 and kept.blocks

    told: list[tuple[str, int]] = []
    measured = survey(clock, architectures=2, on_progress=lambda phase, done, _: told.append((phase, done))).run()
    assert told == [("measuring architectures", 1)]
    assert measured.blocks == kept.blocks and measured.end_to_end[0] == kept.end_to_end[0]

    for broken in (file.read_text()[:-40], file.read_text().replace('"ratio":', '"ratio":-')):
        file.write_text(broken)
        told.clear()
        assert survey(clock, architectures=0, on_progress=lambda phase, done, _: told.append((phase, done))).run() == (
            Measurements(blocks=kept.blocks, layers=kept.layers)
        )
        assert told == [("timing blocks", 0)]


class SlowClock(CountingClock):  # type: ignore[no-untyped-call]
    """Each piece takes a tenth of a second, so that a pass takes two to three: as beside many busy processes."""

    def seconds(self) -> float:
        return 0.1 * self.pieces


@pytest.mark.parametrize("limit_s", [5.0, 30.0])
def test_a_survey_ends_at_its_limit_whatever_the_machine_and_the_next_one_goes_on(
    own_cache: Path, limit_s: float
) -> None:
    """What is begun is finished: a turn of blocks, or the five rounds of an architecture."""
    _, base, _ = setting()
    clock = SlowClock()
    a_turn = 3 * 2 * len(base.config["backbone"] + base.config["head"]) * 0.1
    measured = survey(clock, limit_s=limit_s).run()
    blocks_s = 0.6 * limit_s + a_turn
    assert clock.seconds() <= max(limit_s, blocks_s) + 2 * 5 * 4 * 0.1 + a_turn
    assert measured.blocks and all(share > 0 for share in measured.blocks.values())
    begun = clock.seconds()
    again = survey(clock, limit_s=limit_s).run()
    assert clock.seconds() - begun <= max(limit_s, blocks_s) + 2 * 5 * 4 * 0.1 + a_turn
    assert again.blocks.keys() >= measured.blocks.keys()
    more = len(again.blocks) + len(again.end_to_end) - len(measured.blocks) - len(measured.end_to_end)
    assert more > 0 or len(again.end_to_end) == 4


def test_without_a_limit_every_block_is_timed(own_cache: Path) -> None:
    measured = survey(SlowClock(), architectures=0).run()
    assert measured.blocks.keys() == made_up().blocks.keys()


def test_what_is_waited_for_is_said_and_does_not_count(clock: CountingClock, own_cache: Path) -> None:
    """Another measurement holds the machine for half a minute of the clock's; the limit is a second."""
    told: list[str] = []
    time = latency_survey._Time(clock=clock, limit_s=1.0)

    class Held(Machine):
        @contextmanager
        def alone(self, on_wait: Callable[[str], object] = lambda _: None) -> Iterator[None]:
            on_wait("another measurement")
            clock.pieces += 1  # an hour
            yield

    with time.alone(Held(), told.append):
        assert time.left() == 1.0
    assert told == ["waiting for another measurement"]


def test_another_setting_has_another_file(clock: CountingClock, own_cache: Path) -> None:
    files = {each._file() for each in (survey(clock), survey(clock, imgsz=128), survey(clock, classes=3), survey(None))}
    assert len(files) == 4 and all(file.parent == own_cache / "latency" for file in files)


def test_a_space_of_another_base_is_refused(clock: CountingClock, own_cache: Path) -> None:
    lacking = {name: site for name, site in setting()[2].items() if name != "neck.P4"}
    with pytest.raises(UserError, match=r"space 'synthetic': yolov5n has no site neck\.P4"):
        survey(clock, sites=lacking).run()


# --- Looked up -------------------------------------------------------------------------------------


def test_an_architecture_takes_the_sum_of_what_its_placements_add() -> None:
    space, _, sites = setting()
    table = LatencyTable(space, sites, made_up())
    assert table.base_ms == 5
    first = [(space.placements["backbone.P4"][number - 1], number) for number in range(1, int(table.choices[0]) + 1)]
    by_mode = {str(placement.mode): number for placement, number in first}
    bottlenecks = len(sites["backbone.P4"].inside)
    rows = np.array([[0, 0, 0, 0], *([by_mode[mode], 0, 1, 0] for mode in ("after", "inside", "replace"))])
    added = np.array([0, 0.1 + 0.1, 0.1 * bottlenecks + 0.1, 0.1 - 0.25 + 0.1])
    assert table.ratio(rows) == pytest.approx(1 + added)
    assert table.of(rows) == pytest.approx(5 * (1 + added))
    assert table.of(rows[:0]).shape == (0,)


def test_the_offset_is_of_every_architecture_but_the_base() -> None:
    space, _, sites = setting()
    ends = [each.model_copy(update={"ratio": each.ratio + 0.02}) for each in made_up().end_to_end]
    table = LatencyTable(space, sites, made_up(end_to_end=ends))
    assert table.ratio(np.array([[0, 0, 0, 0], [1, 0, 0, 0]])) == pytest.approx([1, 1.12])


def test_the_interval_follows_from_the_error() -> None:
    space, _, sites = setting()
    ratios = (1.15, 1.05, 1.2, 1.2, 1.3)
    ends = [each.model_copy(update={"ratio": r}) for each, r in zip(made_up().end_to_end, ratios, strict=True)]
    table = LatencyTable(space, sites, made_up(end_to_end=ends))
    assert table.relative_error == table.calibration.rmse > 0.01
    rows = np.array([[1, 0, 0, 0], [1, 1, 1, 0]])
    student = 3.182446  # 97.5 % with 5 - 2 degrees of freedom
    expected = table.ratio(rows)[:, None] * np.exp(np.array([-1, 1]) * student * table.relative_error)
    assert table.ratio_ci95(rows) == pytest.approx(expected, rel=1e-6)


def test_numbers_that_are_none_of_the_space_are_refused() -> None:
    space, _, sites = setting()
    table = LatencyTable(space, sites, made_up())
    with pytest.raises(ValueError, match=r"row 0 names placement 99 at backbone\.P5"):
        table.of(np.array([[0, 99, 0, 0]]))
    with pytest.raises(ValueError, match=r"whole numbers of shape \(N, 4\)"):
        table.ratio(np.zeros((1, 4)))  # type: ignore[arg-type]


def test_a_block_without_a_time_is_estimated_and_a_layer_or_site_without_one_is_refused() -> None:
    space, _, sites = setting()
    name = block_id(space.placements["neck.P5"][0], sites["neck.P5"].channels, space.maps["neck.P5"])
    blocks = {key: share for key, share in made_up().blocks.items() if key != name}
    table = LatencyTable(space, sites, made_up(blocks=blocks))
    assert (table.estimated_blocks, table.blocks) == (1, len(blocks) + 1)
    whole = LatencyTable(space, sites, made_up())
    assert whole.estimated_blocks == 0
    rows = whole.draw(20, np.random.default_rng(0))
    assert table.ratio(rows) == pytest.approx(whole.ratio(rows))  # all others take a tenth of a pass, so it does too
    with pytest.raises(UserError, match="latency table: no time was measured of"):
        LatencyTable(space, sites, made_up(layers={}))
    with pytest.raises(UserError, match="latency table: no block's time was measured"):
        LatencyTable(space, sites, made_up(blocks={}))
    with pytest.raises(UserError, match=r"no time was measured at neck\.P5 of yolov5n"):
        LatencyTable(space, {name: site for name, site in sites.items() if name != "neck.P5"}, made_up())
    with pytest.raises(UserError, match="0 architectures to calibrate on; 4 or more do"):
        LatencyTable(space, sites, made_up(end_to_end=[]))
