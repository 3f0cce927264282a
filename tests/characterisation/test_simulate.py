"""What the default sampler proposes, trained model by trained model.

A sequence of proposals follows from floating-point numbers: another processor's last digits may prefer another
candidate, and all that follows differs. So the sequences are short, and `accept_pure` takes none that an error of
1e-9 to 1e-6 in every accuracy and cost changes; a processor's own errors are smaller. Searches replayed on YOLOBench
stand that for 31 trainings and more. In a space candidates may tie: choices that no training had yet, such as two
gates, are alike to a model, and the last digit decides (in `operators` from the eighth proposal on).
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.characterisation import pure_figures
from tests.characterisation.pure_cases import SEEDS, SIMULATED, SPACE_PROPOSALS, SPACE_SEEDS

EXPECTED = pure_figures.expected("simulate")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("workers", SIMULATED)
def test_a_replayed_search_proposes_the_same_models_in_the_same_order(workers: int, seed: int) -> None:
    found = pure_figures.simulated(workers, seed)
    assert found == EXPECTED["proposals"][str(workers)][str(seed)]
    assert len(set(found)) == len(found) == SIMULATED[workers]


@pytest.mark.parametrize("workers", SIMULATED)
def test_the_command_prints_the_same_json(workers: int) -> None:
    assert near(pure_figures.simulate_command(workers), EXPECTED["command"][str(workers)])


@pytest.mark.parametrize("seed", SPACE_SEEDS)
@pytest.mark.parametrize("name", SPACE_PROPOSALS)
def test_a_search_of_a_space_proposes_the_same_architectures_in_the_same_order(name: str, seed: int) -> None:
    found = pure_figures.in_space(name, seed)
    assert found == EXPECTED["space"][name][str(seed)]
    assert len(set(found)) == len(found)


def near(found: Any, wanted: Any) -> bool:
    """Tell whether two structures are equal, numbers with a comma to 1e-9; the order of keys counts."""
    if isinstance(wanted, dict):
        return (
            isinstance(found, dict)
            and list(found) == list(wanted)
            and all(near(found[key], wanted[key]) for key in wanted)
        )
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(found) == len(wanted)
            and all(near(*pair) for pair in zip(found, wanted, strict=True))
        )
    if isinstance(wanted, float):
        return isinstance(found, float) and found == pytest.approx(wanted, rel=1e-9)
    return bool(found == wanted) and type(found) is type(wanted)
