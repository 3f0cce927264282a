"""Nothing known is proposed to be trained again, and everything is proposed in the end."""

from __future__ import annotations

import random
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from harness.architecture import BASELINE, Architecture, Mode
from harness.records import ROLE, open_storage
from harness.search.proposals import Known, ask_for, propose
from harness.search.study import sampler_of
from harness.settings import Sampler, SearchSettings
from harness.space import SearchSpace, SpaceFile

SITES = {"neck.P3": 64, "neck.P4": 128, "neck.P5": 256}
MAPS = {"neck.P3": (16, 16), "neck.P4": (8, 8), "neck.P5": (4, 4)}


def space_of(max_blocks: int) -> SearchSpace:
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
        file, base="yolov5n", channels={site: {Mode.AFTER: width} for site, width in SITES.items()}, maps=MAPS
    )


def study_in(folder: Path, sampler: str) -> optuna.Study:
    return optuna.create_study(
        directions=["maximize", "minimize"],
        storage=open_storage(f"sqlite:///{folder / 'study.db'}"),
        sampler=sampler_of(SearchSettings(sampler=Sampler(sampler))),
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
