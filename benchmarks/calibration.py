"""Are the verdicts calibrated? Comparisons whose truth is known, through the machinery that judges claims.

Null: an architecture against itself, every training under a seed of its own for the new blocks and for the batches. Of
20 independent comparisons at most 2 should be called a gain or a loss. Planted: an architecture that is trained on half
of the images, against itself on all of them, under the same seeds: a loss.

    python benchmarks/calibration.py [--comparisons 20] [--seeds 3] [--imgsz 96] [--epochs 1] [--out FILE]
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
import yaml

from harness.analysis.contrasts import Pair, Verdict, contrasts
from harness.common.isolation import cache_folder, isolate_ultralytics
from harness.data.check import DatasetInfo, check_dataset, image_paths
from harness.detectors import find_detector
from harness.jobs.base import CommonBase, base_schedule, common_base
from harness.jobs.executors import Children, start_server
from harness.jobs.place import find_place
from harness.jobs.setting import Prepared
from harness.jobs.trial import train_base
from harness.record.state import Failure
from harness.training.accuracy import Accuracy, Schedule, Training

MODEL = "yolov5n-clo-head"


@dataclass(frozen=True, kw_only=True)
class One:
    """One training of one side of a comparison."""

    comparison: str
    side: str
    place: int
    seed: int
    data: Path


def main() -> None:
    """Train, compare, print."""
    options = _options()
    isolate_ultralytics()
    start_server()
    data = check_dataset("digits", options.imgsz, cache=cache_folder())
    schedule = Schedule(epochs=options.epochs, batch=16, imgsz=options.imgsz, learning_rate=1e-3, block_rate_factor=5.0)
    place = find_place(device="cpu", workers=1, threads=None)
    prepared = Prepared(**vars(place), base=find_detector(MODEL).base, sites={}, data=data)
    base = common_base(prepared, base_schedule(schedule, 20), seed=0, loader_workers=0, results=Path())
    half = _half_of(data, options.out.parent if options.out else Path())
    wanted = [*_null(options.comparisons, options.seeds, data.path), *_planted(options.seeds, data.path, half)]
    rows = _train_all(wanted, base, data, schedule, options.workers)
    if options.out:
        rows.to_csv(options.out, index=False)
    _print(rows, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3, help="of either side")
    parser.add_argument("--imgsz", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--workers", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="CSV that takes every training")
    return parser.parse_args()


def _null(comparisons: int, seeds: int, data: Path) -> Iterator[One]:
    """No two trainings have a seed in common."""
    for number in range(comparisons):
        for place in range(seeds):
            for side, offset in (("one", 0), ("other", 1)):
                seed = 1000 + (number * seeds + place) * 2 + offset
                yield One(comparison=f"null {number + 1}", side=side, place=place, seed=seed, data=data)


def _planted(seeds: int, data: Path, half: Path) -> Iterator[One]:
    """Both sides have the same seeds, as arms of an ablation do."""
    for place in range(seeds):
        yield One(comparison="half of the images", side="one", place=place, seed=place, data=half)
        yield One(comparison="half of the images", side="other", place=place, seed=place, data=data)


def _half_of(data: DatasetInfo, folder: Path) -> Path:
    """A dataset YAML whose training set is every second image."""
    images = folder.absolute() / "half.txt"
    images.write_text("\n".join(image_paths(data.path, "train")[::2]) + "\n", encoding="utf-8")
    content = yaml.safe_load(data.path.read_text(encoding="utf-8"))
    path = folder.absolute() / "half.yaml"
    path.write_text(yaml.safe_dump({**content, "train": str(images)}, sort_keys=False), encoding="utf-8")
    return path


def _train_all(
    wanted: list[One], base: CommonBase, data: DatasetInfo, schedule: Schedule, workers: int
) -> pd.DataFrame:
    detector = find_detector(MODEL)
    config, layers = detector.config(len(data.names)), detector.layers
    waiting, rows = deque(wanted), []
    running: dict[int, One] = {}
    with Children[int, Accuracy]() as children:
        while waiting or running:
            while waiting and len(running) < workers:
                one = waiting.popleft()
                number = len(wanted) - len(waiting)
                running[number] = one
                training = Training(
                    config=config, base_config=detector.base.config, base_weights=base.weights, layers=layers,
                    data=str(one.data), classes=len(data.names), schedule=schedule, seed=one.seed, device="cpu",
                    threads=1,
                )  # fmt: skip
                children.start(number, train_base, training)
            number, result = children.next()
            one = running.pop(number)
            if isinstance(result, Failure):
                raise SystemExit(f"{one}: {result.reason}")
            rows.append(
                {
                    "comparison": one.comparison, "architecture": f"{one.comparison}, {one.side}", "base_seed": 0,
                    "seed": one.place, "trained_under": one.seed, "state": "complete", "map50_95": result.map50_95,
                }
            )  # fmt: skip
            print(f"{len(rows)} of {len(wanted)}: {one.comparison}, {one.side}: {result.map50_95:.4f}", flush=True)
    return pd.DataFrame(rows)


def _print(rows: pd.DataFrame, options: argparse.Namespace) -> None:
    names = list(dict.fromkeys(rows["comparison"]))
    pairs = [Pair(name=name, minuend=f"{name}, one", subtrahend=f"{name}, other", kind="") for name in names]
    setting = f"{options.imgsz} px, {options.epochs} epochs from the trained base, {options.seeds} seeds a side"
    print(f"\n{MODEL}, {setting}\n")
    print("| comparison | called a gain or a loss |")
    print("|---|---|")
    if len(pairs) > 1:
        _print_nulls(rows, pairs[:-1])
    planted = contrasts(rows, pairs[-1:]).iloc[0]
    ends = f"{planted['mean']:+.4f} [{planted['low']:+.4f}, {planted['high']:+.4f}]"
    print(f"| half of the images | {planted['verdict']}: {ends} |")


def _print_nulls(rows: pd.DataFrame, pairs: list[Pair]) -> None:
    nulls = contrasts(rows, pairs, share=False)
    corrected = nulls["verdict"].isin([Verdict.BETTER, Verdict.WORSE]).sum()
    plain = ((nulls["low"] > 0) | (nulls["high"] < 0)).sum()
    alone = pd.concat([contrasts(rows, [pair]) for pair in pairs])
    own = alone["verdict"].isin([Verdict.BETTER, Verdict.WORSE]).sum()
    print(f"| null, corrected intervals (the ledger's) | {corrected} of {len(nulls)} |")
    print(f"| null, plain 95 % intervals, pooled scatter | {plain} of {len(nulls)} |")
    print(f"| null, plain 95 % intervals, each its own scatter | {own} of {len(nulls)} |")
    print(f"| standard deviation of a null difference, mAP50-95 | {nulls['sd'].iloc[0]:.4f} |")


if __name__ == "__main__":
    main()
