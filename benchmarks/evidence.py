"""What 167 public insertions of SE and CBAM say, and what luck alone would: the figures of docs/evidence.md."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

FILE = Path(__file__).resolve().parents[1] / "docs" / "evidence.csv"
DRAWS = 20_000


def insertions(file: Path = FILE) -> pd.DataFrame:
    """Return a row an insertion with its `gain`, and that of a second training where there is one, in points."""
    rows = pd.read_csv(file)
    return rows.assign(gain=(rows.map_with - rows.map_baseline).round(1))


def by_place(rows: pd.DataFrame) -> pd.DataFrame:
    """Summarise the gains at each place; `mean_of_baselines` counts each baseline once."""
    found = rows.groupby("place").gain.agg(["size", "mean", "std", "min", "max"])
    found["above_0"] = rows[rows.gain > 0].groupby("place").size()
    of_baselines = rows.groupby(["place", "model"]).gain.mean().groupby("place")
    found["mean_of_baselines"], found["se"] = of_baselines.mean(), of_baselines.std() / np.sqrt(of_baselines.size())
    return found


def luckiest(rows: pd.DataFrame, sd: float, gain: float = 0.0) -> tuple[float, float, float]:
    """Simulate the best of as many cells, which share their baselines, where each truly gains as much.

    Args:
        rows: The cells of one place.
        sd: Of one training.
        gain: True gain of every cell.

    Returns:
        Mean, 5 % and 95 % quantile.
    """
    rng = np.random.default_rng(0)
    group = rows.model.astype("category").cat.codes.to_numpy()
    baselines = rng.standard_normal((DRAWS, group.max() + 1))[:, group]
    best = (sd * (rng.standard_normal((DRAWS, len(rows))) - baselines)).max(axis=1) + gain
    low, high = np.quantile(best, [0.05, 0.95])
    return float(best.mean()), float(low), float(high)


def sd_of_one_training(rows: pd.DataFrame) -> float:
    """Estimate the scatter of one training from cells that were trained twice, whatever the mean difference."""
    return float((rows.map_with_again - rows.map_with).std() / math.sqrt(2))


def main() -> None:
    """Print the figures."""
    rows = insertions()
    print(by_place(rows).round(2).to_string(), "\n")
    neck, twice = rows[rows.place == "neck"], rows.dropna(subset="map_with_again")
    for sd in (0.2, 0.3, 0.4):
        print(f"luckiest of {len(neck)}, sd {sd}:", *(np.round(luckiest(neck, sd, gain), 2) for gain in (0.0, 0.21)))
    faster = twice[twice.model.str.startswith("Faster")]
    fcos = twice[twice.model.str.startswith("FCOS")]
    for name, cells in {
        "Faster R-CNN": faster,
        "Faster R-CNN, neck and head": faster[faster.place != "backbone"],
        "Faster R-CNN, neck": faster[faster.place == "neck"],
        "FCOS": fcos,
        "FCOS without head": fcos[fcos.place != "head"],
    }.items():
        print(f"{name}: {len(cells)} cells twice, sd of one training {sd_of_one_training(cells):.2f}")


if __name__ == "__main__":
    main()
