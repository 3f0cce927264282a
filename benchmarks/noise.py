"""How noisy is a paired difference, and how much of it is signal? One table, by training schedule.

For each schedule, a few architectures that differ and the baseline's control are trained from one common
base under the same seeds. Noise is the standard deviation of (candidate - control) over seeds, pooled over
architectures; signal is the spread of the architectures' mean differences beyond what that noise explains.
A schedule that flattens everything has little noise and no signal: the ratio decides.

    python benchmarks/noise.py --seeds 3 --workers 2
"""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from harness.architecture import Architecture, Kind, LocalGroup, Placement
from harness.data.check import check_dataset
from harness.detectors import find_sites, index_map, insert, resolve_base
from harness.isolation import cache_folder, isolate_ultralytics
from harness.measure.accuracy import Schedule, Training
from harness.search.base import base_schedule, common_base
from harness.search.executors import run_in_child
from harness.search.outcome import Failure
from harness.search.trial import train_base
from harness.settings import SearchSettings

DEFAULTS = SearchSettings()


def _schedule(**changes: Any) -> Schedule:
    own = Schedule(
        epochs=DEFAULTS.epochs,
        batch=DEFAULTS.batch,
        imgsz=DEFAULTS.imgsz,
        learning_rate=DEFAULTS.learning_rate,
        block_rate_factor=DEFAULTS.block_rate_factor,
    )
    return replace(own, **changes)


SCHEDULES = {
    "default: base 1e-3, blocks 5e-3": _schedule(),
    "base 1e-3, blocks 1e-3": _schedule(learning_rate=1e-3, block_rate_factor=1.0),
    "base 5e-4, blocks 5e-3": _schedule(learning_rate=5e-4, block_rate_factor=10.0),
    "base 2e-3, blocks 1e-2": _schedule(learning_rate=2e-3, block_rate_factor=5.0),
    "default without averaging": _schedule(averaged_tail=0.01),
}


def _block(site: str, kernel: int, local: int, others: int, kind: Kind = Kind.BLOCK) -> Placement:
    groups = (LocalGroup(kernel, local),) if local else ()
    return Placement(site=site, kind=kind, groups=groups, global_heads=others, kv_pool=1, ffn_ratio=2.0)


ARCHITECTURES = {
    "control": (),
    "A: neck.P3 + backbone.P4 blocks": (_block("neck.P3", 5, 4, 4), _block("backbone.P4", 5, 4, 4)),
    "B: neck.P5 local attention": (_block("neck.P5", 3, 4, 0, Kind.ATTENTION),),
    "C: three local blocks": tuple(_block(site, 3, 4, 0) for site in ("backbone.P3", "neck.P3", "neck.P4")),
}


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training of the study."""

    schedule: str
    architecture: str
    seed: int


def main(
    seeds: Annotated[int, typer.Option(help="Seeds of every architecture.", min=2)] = 3,
    workers: Annotated[int, typer.Option(help="Trainings at once, one thread each.", min=1)] = 2,
    out: Annotated[Path, typer.Option(help="Rows so far; a run that is there is not repeated.")] = Path(
        "results/noise/noise.csv"
    ),
) -> None:
    """Measure the noise of paired differences by schedule."""
    isolate_ultralytics()
    base = resolve_base(DEFAULTS.base)
    sites = find_sites(base)
    data = check_dataset(DEFAULTS.data, DEFAULTS.imgsz, cache=cache_folder())
    start = common_base(
        base,
        data,
        base_schedule(_schedule(), DEFAULTS.base_epochs),
        seed=DEFAULTS.seed,
        device="cpu",
        threads=2,
        loader_workers=0,
        on_progress=lambda _: None,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = pd.read_csv(out).to_dict("records") if out.is_file() else []
    done = {(row["schedule"], row["architecture"], row["seed"]) for row in rows}
    runs = [
        Run(schedule=s, seed=k, architecture=a) for s, k, a in itertools.product(SCHEDULES, range(seeds), ARCHITECTURES)
    ]
    missing = [run for run in runs if (run.schedule, run.architecture, run.seed) not in done]

    def train(run: Run) -> None:
        architecture = Architecture(base=base.name, placements=ARCHITECTURES[run.architecture])
        training = Training(
            config=insert(base, architecture, sites=sites, classes=len(data.names)),
            base_config=base.config,
            base_weights=start.weights,
            layers=index_map(base, architecture, sites),
            data=str(data.path),
            classes=len(data.names),
            schedule=SCHEDULES[run.schedule],
            seed=run.seed,
            device="cpu",
            threads=1,
        )
        result = run_in_child(train_base, training, log=out.with_suffix(".log"))
        if isinstance(result, Failure):
            raise RuntimeError(f"{run}: {result.reason}")
        rows.append({**run.__dict__, "map50_95": result.map50_95, "seconds": result.train_seconds})
        pd.DataFrame(rows).to_csv(out, index=False)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(train, missing))
    _print(summarise(pd.DataFrame(rows)))


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Noise and signal by schedule.

    Returns:
        Indexed by schedule: `control` (mean mAP50-95), `noise_sd` (pooled over architectures),
        `signal_sd` (standard deviation of the architectures' mean differences after subtracting what
        noise alone gives them; 0 where nothing is left), their ratio, `seconds` a training, and the
        mean difference of each architecture.
    """
    result = {}
    for schedule, own in rows.groupby("schedule", sort=False):
        wide = own.pivot_table(index="seed", columns="architecture", values="map50_95").dropna()
        gains = wide.drop(columns="control").sub(wide["control"], axis=0)
        noise = math.sqrt(gains.var(ddof=1).mean())
        signal = math.sqrt(max(0.0, gains.mean().var(ddof=1) - noise**2 / len(gains)))
        result[schedule] = {
            "seeds": len(gains),
            "control": wide["control"].mean(),
            "noise_sd": noise,
            "signal_sd": signal,
            "signal_over_noise": signal / noise if noise else math.nan,
            "seconds": own.seconds.mean(),
            **gains.mean().to_dict(),
        }
    return pd.DataFrame(result).T


def _print(table: pd.DataFrame) -> None:
    shown = Table("schedule", *table.columns)
    for schedule, row in table.iterrows():
        shown.add_row(str(schedule), *(f"{value:.4f}" if abs(value) < 2 else f"{value:.0f}" for value in row))
    Console(width=220).print(shown)


if __name__ == "__main__":
    typer.run(main)
