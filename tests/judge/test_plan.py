from __future__ import annotations

import pytest

from harness.analysis.planning import SeedNoise
from harness.jobs.plan import Pace
from harness.judge.plan import Option, Room, plan_for, recommend

NOISE = SeedNoise(sd=0.002, df=4, origin="made up")


def room(hours: float, *, most: int = 100, sd: float = 0.002) -> Room:
    noise = SeedNoise(sd=sd, df=4, origin="made up")
    pace = Pace(epoch_seconds=10.0, latency_seconds=5.0, workers=2)
    return Room(hours=hours, steps_an_epoch=80, pace=pace, noise={6: noise, 12: noise}, most=most)


def test_every_option_fits_and_one_more_seed_would_not() -> None:
    found = plan_for(room(1.0), 0.005)
    assert found is not None
    for option in found.options:
        assert option.hours <= 1.0
        assert option.steps == 80 * option.epochs
        assert option.trainings == 1 + option.candidates + (option.finalists + 1) * (option.seeds - 1)
        seconds = option.trainings * option.epochs * 10 / 2 + (option.candidates + 1) * 5
        assert option.hours == pytest.approx(seconds / 3600)
        one_more = seconds + (option.finalists + 1) * option.epochs * 10 / 2
        assert one_more > 3600 or option.seeds == 20
    assert found.recommended in found.options


def test_the_hours_decide_between_candidates_and_seeds() -> None:
    quiet, noisy = plan_for(room(2.0, sd=0.0005), 0.005), plan_for(room(0.4, sd=0.02), 0.005)
    assert quiet is not None and noisy is not None
    assert quiet.recommended.detectable_gain <= 0.005 and quiet.recommended.candidates >= 20
    assert noisy.recommended.candidates == 3, "none detects what matters: the smallest gain, among some candidates"
    assert [each.gain for each in noisy.beyond] == sorted((each.gain for each in noisy.beyond), reverse=True)
    for wanted in noisy.beyond:
        assert wanted.gain < noisy.recommended.detectable_gain
        assert wanted.hours is None or wanted.hours > noisy.recommended.hours


def test_too_few_hours_hold_nothing_and_a_small_space_no_more_than_it_has() -> None:
    assert plan_for(room(0.05), 0.005) is None
    found = plan_for(room(5.0, most=3), 0.005)
    assert found is not None and {each.candidates for each in found.options} == {1, 3}


def test_the_shortest_trainings_are_recommended() -> None:
    def option(steps: int, candidates: int, detectable: float) -> Option:
        return Option(
            steps=steps, epochs=steps, seeds=4, candidates=candidates, finalists=1, trainings=9, hours=1.0,
            detectable_gain=detectable,
        )  # fmt: skip

    assert recommend([option(960, 40, 0.001), option(480, 5, 0.004), option(480, 10, 0.0049)], 0.005).candidates == 10
    assert recommend([option(480, 1, 0.006), option(480, 3, 0.007), option(480, 5, 0.008)], 0.005).candidates == 3
