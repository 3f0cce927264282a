from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from harness.analysis.new_images import INFLUENCE, ImageNoise
from harness.analysis.planning import SeedNoise, chance, detectable_gain, seeds_to_detect
from harness.analysis.statistics import Verdict, summarise
from harness.architecture import BASELINE

SD = 0.002
STUDIES = 250


def study(
    draw: np.random.Generator, *, sd: float, seeds: int, finalists: int, gain: float, images: float = 0.0
) -> pd.DataFrame:
    """A search: five candidates under one seed, finalists and baseline under all; the first one gains, in truth.

    Of the images' part all seeds of a candidate have the same; its influences say how large it may be.
    """
    own, candidates = sd / math.sqrt(2), max(5, finalists)
    true = [gain, *[0.0] * (candidates - 1)]
    blocks = 200
    influences = draw.normal(scale=images / math.sqrt(blocks), size=(candidates, blocks)) if images else None
    moved = influences.sum(axis=1) if influences is not None else np.zeros(candidates)
    first = [true[number] + moved[number] + draw.normal(scale=own) for number in range(candidates)]
    ranked = [int(number) for number in np.argsort(first)[::-1]]
    chosen = [0, *[number for number in ranked if number][: finalists - 1]]
    baseline = draw.normal(scale=own, size=seeds)
    rows = [(BASELINE, seed, baseline[seed]) for seed in range(seeds)]
    rows += [(str(number), 0, first[number]) for number in range(candidates)]
    rows += [
        (str(number), seed, true[number] + moved[number] + draw.normal(scale=own))
        for number in chosen
        for seed in range(1, seeds)
    ]
    table = pd.DataFrame(rows, columns=["architecture", "seed", "map50_95"])
    table["gain_map50_95"] = table["map50_95"] - table["seed"].map(dict(enumerate(baseline)))
    table["selected_on"] = (table["seed"] == 0) & (table["architecture"] != BASELINE)
    if influences is not None:
        texts = {BASELINE: " ".join(["0"] * blocks)} | {
            str(number): " ".join(f"{value:.9g}" for value in row) for number, row in enumerate(influences)
        }
        table[INFLUENCE] = table["architecture"].map(texts)
    return table.assign(map50_95=table["map50_95"] + 0.5, map50=0.7, epochs=6, state="complete", reason="")


@pytest.mark.parametrize(("seeds", "finalists", "df"), [(4, 2, 2.0), (5, 3, 4.0), (3, 2, 1000.0)])
def test_four_of_five_searches_call_the_gain_that_was_promised(seeds: int, finalists: int, df: float) -> None:
    """The true standard deviation is what an estimate of `df` degrees of freedom leaves open."""
    noise = SeedNoise(sd=SD, df=df, origin="")
    promised = detectable_gain(seeds=seeds, judged=finalists, noise=noise)
    draw = np.random.default_rng(seeds)
    called = 0
    for _ in range(STUDIES):
        sd = SD * math.sqrt(df / draw.chisquare(df))
        found = summarise(study(draw, sd=sd, seeds=seeds, finalists=finalists, gain=promised))
        called += bool(found.loc["0", "verdict"] == Verdict.GAIN)
    assert called / STUDIES == pytest.approx(0.8, abs=0.05 + 2 * math.sqrt(0.16 / STUDIES))


def test_so_it_is_where_the_choice_of_images_moves_a_gain_as_well() -> None:
    images = ImageNoise(sd=0.002, shared=0.0, df=100)
    noise = SeedNoise(sd=SD, df=1000, images=images, readings=2, origin="")
    promised = detectable_gain(seeds=5, judged=2, noise=noise)
    assert promised > 1.5 * detectable_gain(seeds=5, judged=2, noise=SeedNoise(sd=SD, df=1000, origin=""))
    draw = np.random.default_rng(0)
    called = sum(
        summarise(study(draw, sd=SD, seeds=5, finalists=2, gain=promised, images=0.002)).loc["0", "verdict"]
        == Verdict.GAIN
        for _ in range(STUDIES)
    )
    assert called / STUDIES == pytest.approx(0.8, abs=0.05 + 2 * math.sqrt(0.16 / STUDIES))


def test_a_pilot_of_three_seeds_promises_on_average_what_it_keeps() -> None:
    """The scatter that the pilot's seeds show decides what is promised; the true one is the same every time."""
    draw = np.random.default_rng(3)
    chances = []
    for _ in range(40):
        estimate = SD * math.sqrt(draw.chisquare(2) / 2)
        promised = detectable_gain(seeds=5, judged=2, noise=SeedNoise(sd=estimate, df=2, origin=""))
        chances.append(chance(promised, seeds=5, judged=2, noise=SeedNoise(sd=SD, df=1e6, origin="")))
    assert np.mean(chances) == pytest.approx(0.8, abs=0.1)


def test_more_seeds_and_fewer_finalists_detect_less_and_a_number_of_seeds_is_the_fewest() -> None:
    noise = SeedNoise(sd=SD, df=4, origin="")
    gains = [detectable_gain(seeds=seeds, judged=2, noise=noise) for seeds in (3, 4, 6, 10)]
    assert gains == sorted(gains, reverse=True)
    assert detectable_gain(seeds=6, judged=1, noise=noise) < gains[2]
    seeds = seeds_to_detect(0.003, judged=2, noise=noise)
    assert seeds is not None
    assert (
        chance(0.003, seeds=seeds - 1, judged=2, noise=noise) < 0.8 <= chance(0.003, seeds=seeds, judged=2, noise=noise)
    )


def test_what_images_hide_no_number_of_seeds_shows() -> None:
    few = ImageNoise(sd=0.02, shared=0.0, df=30)
    noise = SeedNoise(sd=SD, df=4, images=few, readings=2, origin="")
    assert seeds_to_detect(0.01, judged=1, noise=noise) is None


def test_two_seeds_leave_no_scatter_to_judge_by() -> None:
    with pytest.raises(ValueError, match="2 seeds leave no scatter to judge by; 3 at least"):
        detectable_gain(seeds=2, judged=1, noise=SeedNoise(sd=SD, df=2, origin=""))
