"""How often does a gain's interval hold the gain on these images, and on new images like these? Two tables.

The first simulates studies with a known truth and feeds them to `summarise`: a few candidates, judged on fresh seeds,
whose mAP has a part that a seed brings, a part that an image brings, and a part of both. The truth on these images is
the mean over all seeds of what the drawn images have; on new images it is the planted gain. Beside the coverage stand
the widths and, over all candidates of a study that gain nothing on new images, how often one is said to gain.

The second simulates detections of two equally good detectors, image by image, and asks how often the interval by the
images' influence holds their true difference, 0, by the number of images and classes.

    python benchmarks/image_coverage.py
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy import stats

from harness.analysis.new_images import image_noise
from harness.analysis.noise import ALPHA
from harness.analysis.statistics import Verdict, summarise
from harness.training.image_matches import MOST_BLOCKS, ImageMatches, block_influence

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class World:
    """Where a study's figures come from; every standard deviation is of one reading of one architecture.

    Attributes:
        seeds: That judge.
        images: Of the validation set.
        by_seed: What a seed brings, whatever the images.
        by_image: What the choice of images brings, whatever the seed.
        by_both: What differs between seeds from image to image.
        candidates: Judged ones of a study.
        gain: True gain of the first, on new images.
        tail: Degrees of freedom of an image's effect (Student's t); few make heavy tails.
    """

    seeds: int = 2
    images: int = 400
    by_seed: float = 0.0006
    by_image: float = 0.0006
    by_both: float = 0.0006
    candidates: int = 3
    gain: float = 0.0
    tail: float = 5.0


class Outcome(NamedTuple):
    """What a study's summary says of its first candidate, and whether that holds."""

    holds_these: bool
    holds_new: bool
    half_these: float
    half_new: float
    found: bool
    """Whether the first candidate is said to gain."""
    any_found: bool
    by_seeds_alone: bool
    """Whether the interval over seeds alone holds the gain on new images."""


def study(world: World, rng: np.random.Generator) -> Outcome:
    """Simulate a study and summarise it."""
    trials = table_of(world, rng)
    summary = summarise(trials)
    row: Any = summary.loc["c1"]
    on_these = float(trials.attrs["on_these_images"])
    found = (summary["verdict"] == Verdict.GAIN).to_numpy()
    return Outcome(
        holds_these=bool(row["gain_low_these_images"] <= on_these <= row["gain_high_these_images"]),
        holds_new=bool(row["gain_low"] <= world.gain <= row["gain_high"]),
        half_these=float(row["gain_high_these_images"] - row["gain_low_these_images"]) / 2,
        half_new=float(row["gain_high"] - row["gain_low"]) / 2,
        found=bool(found[1]),
        any_found=bool(found.any()),
        by_seeds_alone=bool(row["gain_low_these_images"] <= world.gain <= row["gain_high_these_images"]),
    )


def table_of(world: World, rng: np.random.Generator) -> pd.DataFrame:
    """Return a simulated study's trials; their `attrs` have the first candidate's true gain on its images."""
    architectures, seeds, images = world.candidates + 1, world.seeds, world.images
    by_image = _effects(world, world.by_image, (architectures, 1, images), rng)
    effects = by_image + _effects(world, world.by_both, (architectures, seeds, images), rng)
    truth = np.zeros(architectures)
    truth[1] = world.gain
    maps = 0.5 + truth[:, None] + rng.normal(0, world.by_seed, (architectures, seeds)) + effects.mean(axis=2)
    influence = (effects - effects.mean(axis=2, keepdims=True)) / images
    blocks = np.add.reduceat(influence, np.linspace(0, images, min(images, MOST_BLOCKS), endpoint=False, dtype=int), 2)
    rows = [
        {
            "architecture": f"c{at}" if at else "baseline", "seed": seed + 1, "base_seed": 0, "epochs": 3,
            "state": "complete", "reason": "", "selected_on": False, "map50_95": maps[at, seed], "map50": 0.7,
            "gain_map50_95": maps[at, seed] - maps[0, seed],
            "image_influence": " ".join(f"{value:.5g}" for value in blocks[at, seed]),
        }
        for at in range(architectures) for seed in range(seeds)
    ]  # fmt: skip
    trials = pd.DataFrame(rows)
    trials.attrs["on_these_images"] = world.gain + float((by_image[1] - by_image[0]).mean())
    return trials


def _effects(world: World, sd: float, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Return what images bring, so that the mean over them has the standard deviation asked for."""
    unit = rng.standard_t(world.tail, shape) / np.sqrt(world.tail / (world.tail - 2))
    return np.asarray(unit * sd * np.sqrt(world.images))


WORLDS = {
    "all three alike": World(),
    "all three alike, 3 seeds": World(seeds=3),
    "all three alike, 5 seeds": World(seeds=5),
    "images most": World(by_seed=0.0003, by_image=0.0012, by_both=0.0003),
    "seeds most": World(by_seed=0.0012, by_image=0.0003, by_both=0.0003),
    "seeds × images most": World(by_seed=0.0003, by_image=0.0003, by_both=0.0012),
    "100 images, heavy tails": World(images=100, by_image=0.0012, by_both=0.0012, tail=3.0),
    "1 candidate": World(candidates=1),
    "10 candidates": World(candidates=10),
    "a gain of 0.004": World(gain=0.004),
    "a gain of 0.004, 3 seeds": World(gain=0.004, seeds=3),
}


def both_targets(studies: int) -> Table:
    """Return the coverage of both targets, by world."""
    table = Table(
        "world", "on these images", "half", "on new images", "half", "new images, by seeds alone", "a gain is said",
        title="Share of intervals of a gain that hold it; median half-widths in mAP50-95",
    )  # fmt: skip
    for name, world in track(WORLDS.items(), "simulating studies", transient=True):
        rng = np.random.default_rng(0)
        seen = pd.DataFrame([study(world, rng) for _ in range(studies)], columns=Outcome._fields)
        said = "found" if world.gain else "any_found"
        table.add_row(
            name, f"{seen.holds_these.mean():.1%}", f"{seen.half_these.median():.5f}", f"{seen.holds_new.mean():.1%}",
            f"{seen.half_new.median():.5f}", f"{seen.by_seeds_alone.mean():.1%}", f"{seen[said].mean():.1%}",
        )  # fmt: skip
    return table


def pair(images: int, classes: int, rng: np.random.Generator, objects: float = 3.0) -> tuple[ImageMatches, ...]:
    """Return the matches of two detectors that are equally good in truth, on the same images.

    An object is harder or easier, an image too, for both alike and for each; the surer an object is found the better
    its box; false detections are as sure in both, but for a part.
    """
    count = 1 + rng.poisson(objects - 1, images)
    image = np.repeat(np.arange(images), count)
    target = rng.integers(0, classes, len(image))
    hard, clear = rng.normal(0, 1, len(image)), rng.normal(0, 0.5, images)
    false_image = np.repeat(np.arange(images), rng.poisson(4, images))
    false_class, false_sure = rng.integers(0, classes, len(false_image)), rng.normal(-1.5, 0.8, len(false_image))
    found = []
    for _ in range(2):
        own = clear + rng.normal(0, 0.42, images)
        quality = own[image] - hard + rng.normal(0, 0.5, len(image))
        sure = quality + rng.normal(0, 0.5, len(image))
        kept = sure > -3
        false = false_sure + own[false_image] / 2 + rng.normal(0, 0.5, len(false_image))
        level = np.concatenate([np.clip(5 + 3 * quality[kept], 0, 10), np.zeros(len(false))]).astype(int)
        where = np.concatenate([image[kept], false_image])
        order = np.argsort(where, kind="stable")
        cuts = np.searchsorted(where[order], np.arange(1, images))
        columns = {
            "matched": np.arange(10) < level[:, None],
            "confidence": 1 / (1 + np.exp(-np.concatenate([sure[kept], false]))),
            "predicted": np.concatenate([target[kept], false_class]),
        }
        parts: dict[str, Any] = {name: np.split(values[order], cuts) for name, values in columns.items()}
        found.append(ImageMatches(**parts, target=np.split(target, np.cumsum(count)[:-1])))
    return tuple(found)


def average_precision(matches: ImageMatches) -> float:
    """Return mAP50-95 with its recall not rounded to 101 points."""
    matched, confidence = np.concatenate(matches.matched), np.concatenate(matches.confidence)
    order = np.argsort(-confidence)
    matched, predicted = matched[order], np.concatenate(matches.predicted)[order]
    target = np.concatenate(matches.target)
    values = []
    for number in np.unique(target):
        own, objects = matched[predicted == number], np.count_nonzero(target == number)
        precision = np.cumsum(own, axis=0) / np.arange(1, len(own) + 1)[:, None]
        best = np.maximum.accumulate((precision * own)[::-1], axis=0)[::-1]
        values.append(float((best * own).sum() / objects / own.shape[1]))
    return float(np.mean(values))


class PairOutcome(NamedTuple):
    """A pair's difference, half of its interval and its standard deviation as estimated."""

    difference: float
    half: float
    sd: float


def pairs(images: int, classes: int, count: int, seed: int = 0) -> list[PairOutcome]:
    """Simulate pairs of detectors whose true difference is 0."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        first, second = pair(images, classes, rng)
        noise = image_noise(np.subtract(block_influence(first), block_influence(second))[None])
        half = float(stats.t.ppf(1 - ALPHA / 2, noise.df)) * noise.sd
        found.append(PairOutcome(average_precision(first) - average_precision(second), half, noise.sd))
    return found


SETTINGS = (
    (120, 3), (400, 3), (400, 10), (120, 10), (400, 40), (60, 10), (120, 20), (60, 20), (20, 3), (30, 10), (60, 40),
)  # fmt: skip


def few_objects(count: int) -> Table:
    """Return the coverage of a pair's difference, by images and classes."""
    table = Table("images", "classes", "objects a class", "holds 0", "half", "sd, estimated over true")
    for images, classes in track(SETTINGS, "simulating detections", transient=True):
        seen = pd.DataFrame(pairs(images, classes, count))
        holds = (seen.difference.abs() <= seen.half).mean()
        ratio = np.sqrt((seen.sd**2).mean()) / seen.difference.std()
        table.add_row(
            str(images), str(classes), f"{3 * images / classes:.0f}", f"{holds:.1%}", f"{seen.half.median():.4f}",
            f"{ratio:.2f}",
        )  # fmt: skip
    return table


def main(
    studies: Annotated[int, typer.Option(help="Simulated studies a world.", min=20)] = 1000,
    count: Annotated[int, typer.Option(help="Simulated pairs of detectors a setting.", min=20)] = 500,
) -> None:
    """Print both tables."""
    console = Console(width=160)
    console.print(both_targets(studies))
    console.print(few_objects(count))


if __name__ == "__main__":
    typer.run(main)
