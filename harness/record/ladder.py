"""What a search may spend, as a person writes it: rungs of epochs and seeds, and a total.

References:
    1. Li et al., "Hyperband: a novel bandit-based approach to hyperparameter optimization", JMLR 18, 2018.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from harness.common.duration import parse_duration

# Of anything; far more than anybody has trained, and few enough to be listed.
MOST_SEEDS = 1_000
# Of so many candidates on a rung one climbs, unless it is said otherwise: the proposal of [1].
ETA = 3


class Rung(NamedTuple):
    """How long each architecture on it has been trained, and how often.

    Attributes:
        epochs: In all, those of the rungs below included.
        seeds: Trainings of so many epochs, each under a seed of its own.
    """

    epochs: int
    seeds: int

    def __str__(self) -> str:
        return f"{self.epochs} × {self.seeds}"


class Step(NamedTuple):
    """One training of an architecture: up to so many epochs, under the seed of this place."""

    epochs: int
    place: int


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """Rungs in order; neither epochs nor seeds fall."""

    rungs: tuple[Rung, ...]

    @property
    def levels(self) -> tuple[int, ...]:
        """Numbers of epochs at which a training pauses and is validated, ascending."""
        return tuple(sorted({rung.epochs for rung in self.rungs}))

    def below(self, epochs: int) -> int:
        """Return the level that a training to `epochs` goes on from; 0 for the first."""
        return max((level for level in self.levels if level < epochs), default=0)

    def steps(self, number: int) -> list[Step]:
        """List every training that an architecture on a rung has behind it, each after what it goes on from."""
        top = self.rungs[number]
        return [Step(epochs, place) for place in range(top.seeds) for epochs in self.levels if epochs <= top.epochs]

    def new_steps(self, number: int) -> list[Step]:
        """List those that the rung below does not ask for."""
        before = set(self.steps(number - 1)) if number else set()
        return [step for step in self.steps(number) if step not in before]

    def pickers(self, epochs: int) -> int:
        """Count the selection seeds: those that chose whom the observations after `epochs` would judge.

        A seed that picked an architecture after few epochs does not judge it after many either: the longer
        training goes on from the very weights that had the highest observed mAP.
        """
        if len(self.rungs) == 1 or epochs not in self.levels:  # beyond the ladder, whose seeds are fresh
            return 0
        last = max(number for number, rung in enumerate(self.rungs) if rung.epochs == epochs)
        return self.rungs[max(last - 1, 0)].seeds

    def candidates(self, first: int, second: int | None = None) -> list[int]:
        """Count how many are on each rung.

        Args:
            first: On the first.
            second: On the second at most; by default, as on those above, one in `ETA` of the rung below,
                rounded up.
        """
        numbers = [first]
        for number in range(1, len(self.rungs)):
            below = numbers[-1]
            numbers.append(min(below, second) if number == 1 and second is not None else math.ceil(below / ETA))
        return numbers

    def __str__(self) -> str:
        return ", ".join(map(str, self.rungs))


def parse_rungs(text: str) -> Ladder:
    """Read `3x1, 3x3, 12x4`: epochs in all times seeds, from the bottom.

    Raises:
        ValueError: It is not that, or a rung is no step up.
    """
    found = [re.fullmatch(r"\s*(\d+)\s*[x×]\s*(\d+)\s*", part) for part in text.split(",")]
    rungs = [Rung(int(match[1]), int(match[2])) for match in found if match]
    if len(rungs) < len(found) or min(map(min, rungs)) < 1:
        raise ValueError("rungs are epochs x seeds from the bottom, both at least 1, such as '3x1, 3x3, 12x4'")
    if max(rung.seeds for rung in rungs) > MOST_SEEDS:
        raise ValueError(f"a rung has at most {MOST_SEEDS} seeds")
    for below, rung in itertools.pairwise(rungs):
        if rung == below or rung.epochs < below.epochs or rung.seeds < below.seeds:
            raise ValueError(
                f"after {below.epochs}x{below.seeds}, {rung.epochs}x{rung.seeds} is no step up; "
                "a rung has more epochs or more seeds than the one before it, and fewer of neither"
            )
    return Ladder(rungs=tuple(rungs))


class Unit(StrEnum):
    """What a budget counts."""

    TRAININGS = "trainings"
    EPOCHS = "epochs"
    SECONDS = "seconds"


class Budget(NamedTuple):
    """All that a study may take, without the pretrained baseline."""

    amount: float
    unit: Unit


def parse_budget(text: str) -> Budget:
    """Read `40 trainings`, `200 epochs`, `2 h` or `90 m`.

    Raises:
        ValueError: It is none of these.
    """
    counted = re.fullmatch(r"(\d+)\s*(training|epoch)s?", text.strip())
    try:
        if counted and 0 < float(counted[1]) < math.inf:
            return Budget(float(counted[1]), Unit(f"{counted[2]}s"))
        if text.strip().endswith(("h", "m")):
            return Budget(parse_duration(text), Unit.SECONDS)
    except ValueError:
        pass  # said below, with all that it may be
    raise ValueError("a budget is a number with its unit: '40 trainings', '200 epochs', '2 h' or '90 m'")
