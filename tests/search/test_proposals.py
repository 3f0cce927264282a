"""Nothing known is proposed to be trained again, and everything is proposed in the end."""

from __future__ import annotations

import random
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from harness.architecture import BASELINE, Architecture, Mode
from harness.cost.space_cost import AdditiveCost
from harness.detectors import find_sites, resolve_base
from harness.record.constraints import Constraints
from harness.record.settings import Sampler
from harness.record.study import ROLE
from harness.search.proposals import ask_for, propose
from harness.search.region import Region
from harness.search.sampler import make_sampler
from harness.space import SearchSpace, SpaceFile
from harness.storage.records import open_storage, record_of
from harness.storage.study import Known

SITES = {"neck.P3": 64, "neck.P4": 128, "neck.P5": 256}
MAPS = {"neck.P3": (16, 16), "neck.P4": (8, 8), "neck.P5": (4, 4)}


def space_of(max_blocks: int, required: tuple[str, ...] = ()) -> SearchSpace:
    file = SpaceFile.model_validate(
        {
            "name": "tiny",
            "sites": list(SITES),
            "max_blocks": max_blocks,
            "placement": {
                "kind": ["attention", "block"],
                "kernel": [3],
                "kv_pool": [4, 8],
                "heads": [4],
                "local_share": [0, 1],
            },
        }
    )
    return SearchSpace(
        file,
        base="yolov5n",
        channels={site: {Mode.AFTER: width} for site, width in SITES.items()},
        maps=MAPS,
        required=required,
    )


def study_in(folder: Path, sampler: str) -> optuna.Study:
    return optuna.create_study(
        directions=["maximize", "minimize"],
        storage=open_storage(f"sqlite:///{folder / 'study.db'}"),
        sampler=make_sampler(Sampler(sampler), seed=0),
    )


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_a_search_goes_through_the_whole_space_once(sampler: str, tmp_path: Path) -> None:
    space, study = space_of(max_blocks=1), study_in(tmp_path, sampler)
    known: dict[str, Known] = {BASELINE: Known(values=(0.5, 1.0))}
    rng = random.Random(0)
    order = []
    while (proposal := propose(study, space, lambda: known, rng, startup=3)) is not None:
        order.append(proposal.identity)
        assert len(proposal.architecture.placements) == 1
        values = (rng.random(), rng.random())
        study.tell(proposal.trial, values)
        known[proposal.identity] = Known(values=values)
    # P3: 2 kinds × (2 pools + local); P4 the same; P5: both pools leave one token: 2 × (1 + 1)
    # (at P4, 8×8, pool 8 leaves one token and pool 4 four)
    assert len(order) == len(set(order)) == space.size == 6 + 6 + 4


def test_a_known_proposal_is_answered_from_the_record(tmp_path: Path) -> None:
    space, study = space_of(max_blocks=1), study_in(tmp_path, "random")
    everything = [space.identity(architecture) for architecture in space.enumerate()]
    left = everything[-1]
    known = {identity: Known(values=(0.25, 2.0)) for identity in [BASELINE, *everything[:-1]]}
    proposal = propose(study, space, lambda: known, random.Random(0), startup=0)
    assert proposal is not None and proposal.identity == left
    answered = [t for t in study.get_trials() if t.user_attrs.get(ROLE) == "duplicate"]
    assert answered and all(t.values == [0.25, 2.0] and t.state == TrialState.COMPLETE for t in answered)


def test_a_known_failure_teaches_the_sampler_nothing(tmp_path: Path) -> None:
    space, study = space_of(max_blocks=1), study_in(tmp_path, "random")
    everything = [space.identity(architecture) for architecture in space.enumerate()]
    known = {identity: Known(values=None) for identity in everything[:-1]} | {BASELINE: Known(values=(0.5, 1.0))}
    propose(study, space, lambda: known, random.Random(0), startup=0)
    duplicates = [t for t in study.get_trials() if t.user_attrs.get(ROLE) == "duplicate"]
    failed = [t for t in duplicates if t.state == TrialState.FAIL]
    assert failed and all(t.values is None for t in failed)


def test_nothing_illegal_is_ever_proposed(tmp_path: Path) -> None:
    space, study = space_of(max_blocks=2), study_in(tmp_path, "random")
    for _ in range(30):
        trial = study.ask()
        assert len(space.suggest(trial).placements) <= 2
        study.tell(trial, (0.0, 1.0))


def test_an_architecture_can_be_asked_for_by_name(tmp_path: Path) -> None:
    space, study = space_of(max_blocks=2), study_in(tmp_path, "tpe")
    rng = random.Random(3)
    for wanted in [Architecture(base="yolov5n"), *(space.draw(rng) for _ in range(10))]:
        trial = ask_for(study, space, wanted)
        assert trial.params == space.parameters(wanted)
        assert space.identity(space.suggest(trial)) == space.identity(wanted)


def test_what_the_space_does_not_hold_is_a_trial_without_parameters(tmp_path: Path) -> None:
    """The baseline, where a site is required: a random block in its trial would be credited with its figures."""
    space, study = space_of(max_blocks=2, required=("neck.P4",)), study_in(tmp_path, "tpe")
    assert ask_for(study, space, Architecture(base="yolov5n")).params == {}
    wanted = space.draw(random.Random(0))
    assert space.identity(space.suggest(ask_for(study, space, wanted))) == space.identity(wanted)


# --- Bounds on cost -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cost() -> AdditiveCost:
    base = resolve_base("yolov5n")
    return AdditiveCost.of_base(base, find_sites(base), classes=10, imgsz=128)


def cheapest(space: SearchSpace, cost: AdditiveCost) -> Region:
    """The third of a space that has the fewest parameters, and what has as few."""
    params = sorted(cost.of(architecture)[0] for architecture in space.enumerate())
    return Region(space, cost, Constraints(max_params=params[len(params) // 3]))


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_search_goes_through_all_within_the_bounds_and_nothing_else(
    sampler: str, tmp_path: Path, cost: AdditiveCost
) -> None:
    space, study = space_of(max_blocks=1), study_in(tmp_path, sampler)
    region = cheapest(space, cost)
    known: dict[str, Known] = {BASELINE: Known(values=(0.5, 1.0))}
    rng = random.Random(0)
    while (proposal := propose(study, space, lambda: known, rng, startup=2, region=region)) is not None:
        assert region.holds(proposal.architecture)
        values = (rng.random(), rng.random())
        study.tell(proposal.trial, values)
        known[proposal.identity] = Known(values=values)
    assert len(known) - 1 == region.summary()["feasible"]
    assert len(known) - 1 < space.size
    before = len(study.get_trials())
    assert propose(study, space, lambda: known, rng, startup=2, region=region) is None
    assert len(study.get_trials()) == before  # nothing is asked in vain
    refused = [trial for trial in study.get_trials() if trial.user_attrs.get(ROLE) == "infeasible"]
    assert record_of(study).proposals["infeasible"] == len(refused) > 0
    for trial in refused:
        assert trial.state == TrialState.PRUNED and trial.values is None
        assert trial.constraints["params"] > 0
    others = [trial for trial in study.get_trials() if trial.user_attrs.get(ROLE) != "infeasible"]
    assert not any(trial.constraints for trial in others)


def refused_on_the_way_to(count: int, sampler: str, cost: AdditiveCost) -> int:
    space = space_of(max_blocks=2)
    region = cheapest(space, cost)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=make_sampler(Sampler(sampler), seed=0))
    known: dict[str, Known] = {BASELINE: Known(values=(0.5, 1.0))}
    for number in range(count):
        proposal = propose(study, space, lambda: known, random.Random(number), startup=6, region=region)
        assert proposal is not None
        study.tell(proposal.trial, (0.5, 1.0))
        known[proposal.identity] = Known(values=(0.5, 1.0))
    return record_of(study).proposals["infeasible"]


def test_tpe_learns_where_the_bounds_are(cost: AdditiveCost) -> None:
    assert refused_on_the_way_to(15, "tpe", cost) < 2 / 3 * refused_on_the_way_to(15, "random", cost)


def test_a_bound_that_came_later_does_not_make_the_known_unknown(tmp_path: Path, cost: AdditiveCost) -> None:
    space, study = space_of(max_blocks=1), study_in(tmp_path, "random")
    region = cheapest(space, cost)
    known = {space.identity(architecture): Known(values=(0.25, 2.0)) for architecture in space.enumerate()}
    cheap = next(region.walk())
    del known[space.identity(cheap)]
    known[BASELINE] = Known(values=(0.5, 1.0))
    proposal = propose(study, space, lambda: known, random.Random(0), startup=0, region=region)
    assert proposal is not None and proposal.identity == space.identity(cheap)
    assert record_of(study).proposals["infeasible"] == 0  # all dear ones are known, and answered from the record
