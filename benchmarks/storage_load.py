"""What one trial costs a PostgreSQL storage, by how many trials the study has: statements, and milliseconds.

A study on a server of its own (Debian's package `postgresql`, on this machine: no network between) is filled with
made-up finished trials of the default search space. Then some trials are asked for, begun and ended as a search does
it, with a pretended training. `turn` is the time under the study's lock, of which only one member at a time has it:
its inverse is how many trials a second the whole fleet can begin and end.

    python benchmarks/storage_load.py --trials 100,1000,10000

From the last of these, and from how long a training takes, follows what a fleet of GPUs waits for.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import optuna
import sqlalchemy
import typer
from optuna.storages import RDBStorage
from postgres_server import PostgresServer

from harness.architecture import BASELINE, Architecture
from harness.cost.space_cost import AdditiveCost, CostTable
from harness.detectors import find_sites, map_sizes, mode_channels, resolve_base
from harness.record.settings import Sampler, SearchSettings
from harness.record.state import State
from harness.record.study import ARCHITECTURE, MODEL_YAML, ROLE, ROW, TRAINING
from harness.search.acquisition import Preferences
from harness.search.proposals import ask_for, propose
from harness.search.sampler import make_sampler
from harness.search.space_candidates import SpaceCandidates
from harness.space import SearchSpace, load_space
from harness.storage.opening import open_study
from harness.storage.study import SearchStudy

REPEATS = 5
FLEETS = 1, 8, 64, 512
GPUS_A_MACHINE = 8
MODEL = "nc: 10\n" * 300
"""As long as a model's YAML."""


@dataclass
class Stopwatch:
    """Milliseconds and statements by what was done."""

    engine: sqlalchemy.Engine
    ms: dict[str, list[float]] = field(default_factory=dict)
    statements: dict[str, list[int]] = field(default_factory=dict)
    _count: int = 0

    def __post_init__(self) -> None:
        sqlalchemy.event.listen(self.engine, "before_cursor_execute", self._counted)

    def _counted(self, *_: object) -> None:
        self._count += 1

    @contextmanager
    def time(self, what: str) -> Iterator[None]:
        """Note how long it takes and what it asks of the server."""
        before, start = self._count, time.perf_counter()
        yield
        self.ms.setdefault(what, []).append(1e3 * (time.perf_counter() - start))
        self.statements.setdefault(what, []).append(self._count - before)


def row_of(identity: str, rng: random.Random) -> dict[str, Any]:
    """A trial's row as a search leaves it."""
    return {
        "seed": 0, "base_seed": 0, "epochs": 3, "selected_on": True, "architecture": identity,
        "state": State.COMPLETE, "reason": "", "started": "2026-01-01T00:00:00+00:00", "map50_95": rng.random(),
        "map50": 0.7, "macs": 1e8, "flops": 2e8, "params": 2e6, "latency_ms_p50": 9.0, "latency_ms_p90": 10.0,
        "latency_ratio": 1.0 + rng.random(), "latency_ratio_low": 1.0, "latency_ratio_high": 2.0,
        "train_seconds": 60.0, "cpu_seconds": 60.0, "finished": "2026-01-01T00:01:00+00:00",
        "per_class": {str(name): 0.5 for name in range(10)},
    }  # fmt: skip


def fill(study: SearchStudy, storage: RDBStorage, space: SearchSpace, count: int) -> None:
    """Write finished trials until there are so many."""
    study_id = storage.get_study_id_from_name(study.optuna.study_name)
    known = set(study.record().architectures)
    rng = random.Random(len(known))
    base = Architecture(base=space.base)
    template = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    while len(known) < count:
        architecture = space.draw(rng) if known else base
        identity = space.identity(architecture) if known else BASELINE
        if identity in known:
            continue
        asked = ask_for(template, space, architecture)
        row = row_of(identity, rng)
        storage.create_new_trial(
            study_id,
            optuna.trial.create_trial(
                params=asked.params,
                distributions=asked.distributions,
                values=[row["map50_95"], 9.0 * row["latency_ratio"]],
                user_attrs={
                    ROLE: TRAINING, ROW: row, ARCHITECTURE: architecture.to_dict(), MODEL_YAML: MODEL,
                },
            ),
        )  # fmt: skip
        known.add(identity)


def trial(study: SearchStudy, space: SearchSpace, watch: Stopwatch, rng: random.Random) -> None:
    """One trial as `harness.search.loop` does it, without its training."""
    with watch.time("turn: propose and begin"):
        with watch.time("  lock, unlock"), study.members.turn():
            pass
        with study.members.turn():
            study.close_abandoned()
            study.unfinished()
            with watch.time("  sampler"):
                proposal = propose(study.optuna, space, study.known, rng, 0)
            assert proposal is not None
            study.begin(proposal.trial, proposal.architecture, proposal.identity, MODEL, {"seed": 0, "epochs": 3})
    with watch.time("a look for work"):
        study.states()
        study.under_way()
    with watch.time("turn: end"):
        study.end(proposal.trial, State.COMPLETE, row_of(proposal.identity, rng))
    with watch.time("reading the record"):
        study.record()


def measure(url: str, counts: list[int], sampler: Sampler, report: Callable[[int, Stopwatch, float], None]) -> None:
    """Fill and time."""
    base = resolve_base("yolov5n")
    sites = find_sites(base)
    space = SearchSpace(
        load_space("default"), base=base.name, channels=mode_channels(sites), maps=map_sizes(sites, 128)
    )
    table = CostTable(space, AdditiveCost.of_base(base, sites, classes=10, imgsz=128))
    with tempfile.TemporaryDirectory() as folder:
        settings = SearchSettings(study="x", results=Path(folder), storage=url)
        for count in counts:
            with open_study(settings, {}) as study:
                fill(study, study.storage, space, count)
            start = time.perf_counter()
            with open_study(settings, {}) as study:
                study.record()
                joined = time.perf_counter() - start
                study.optuna.sampler = make_sampler(
                    sampler,
                    seed=0,
                    workers=1,
                    candidates=SpaceCandidates(space, lambda codes: table.of(codes)[:, 1].astype(float), None),
                    learnt=0,
                    preferences=Preferences(),
                )
                watch, rng = Stopwatch(study.storage.engine), random.Random(count)
                for _ in range(REPEATS):
                    trial(study, space, watch, rng)
                report(count, watch, joined)


def fleet(gpus: int, turn_s: float, training_h: float, base_h: float, latency_s: float) -> str:
    """What so many GPUs wait for, as a row.

    Args:
        gpus: How many.
        turn_s: Under the lock, of one trial.
        training_h: GPU hours of one training.
        base_h: GPU hours of the pretrained baseline, 0 where a trained detector is given.
        latency_s: Measuring a candidate, while the other GPUs of its machine rest.
    """
    a_day = gpus * 24 / training_h
    resting = min(gpus, GPUS_A_MACHINE) - 1
    return (
        f"{gpus:>5} {a_day:>14,.0f} {a_day * turn_s / 86400:>10.4%} {gpus * turn_s:>9.1f} s "
        f"{(gpus - 1) * base_h:>14,.0f} {resting * latency_s / (training_h * 3600):>13.3%}"
    )


def main(
    trials: Annotated[str, typer.Option(help="Stored trials, comma-separated, rising.")] = "100,1000",
    sampler: Annotated[Sampler, typer.Option(help="Who proposes.")] = Sampler.COST_AWARE,
    training_hours: Annotated[
        float, typer.Option(help="GPU hours of a training; of YOLOv5n's on COCO 24 (V100).")
    ] = 24,
    base_hours: Annotated[float, typer.Option(help="GPU hours of the pretrained baseline.")] = 24,
    latency_seconds: Annotated[float, typer.Option(help="Measuring a candidate's latency.")] = 5,
) -> None:
    """Print the tables."""
    turns: list[float] = []

    def report(count: int, watch: Stopwatch, joined: float) -> None:
        print(f"\n{count:,} stored trials; a new member has read them after {joined:.2f} s")
        for what, ms in watch.ms.items():
            statements = statistics.median(watch.statements[what])
            print(f"  {what:<26} {statistics.median(ms):>9.1f} ms {statements:>5.0f} statements")
        turns.append(sum(statistics.median(ms) for what, ms in watch.ms.items() if what.startswith("turn")) / 1e3)

    with PostgresServer() as server:
        measure(server.url, [int(each) for each in trials.split(",")], sampler, report)
    print(f"\na training of {training_hours:g} h, {turns[-1]:.2f} s of turns a trial, {GPUS_A_MACHINE} GPUs a machine")
    heads = f"{'GPUs':>5} {'trainings/day':>14} {'lock busy':>10} {'all at once':>11}"
    print(f"{heads} {'base: GPU h':>14} {'latency rests':>13}")
    for gpus in FLEETS:
        print(fleet(gpus, turns[-1], training_hours, base_hours, latency_seconds))


if __name__ == "__main__":
    typer.run(main)
