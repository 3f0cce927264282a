"""The one file of these tests that knows where the code lies: after a move, this is what is mended.

Everything else of the part "pure" reaches the code through the command line, through files, or through the functions
here, which take and give plain data and modules of torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from threadpoolctl import threadpool_limits
from torch import nn

from harness import blocks as harness_blocks
from harness.__main__ import run
from harness.architecture import Architecture
from harness.cost.space_cost import AdditiveCost, CostTable
from harness.detectors import (
    Base,
    build,
    find_detector,
    find_sites,
    index_map,
    insert,
    map_sizes,
    mode_channels,
    read_architecture,
    resolve_base,
    transfer,
)
from harness.record.settings import Sampler
from harness.search.acquisition import Preferences
from harness.search.candidates import Candidates
from harness.search.sampler import make_sampler
from harness.search.simulate import Conditions, replay
from harness.search.space_candidates import SpaceCandidates
from harness.search.table import read_table
from harness.space import SearchSpace, load_space
from harness.training.accuracy import save_checkpoint

Plain = dict[str, Any]
DEFAULT_SAMPLER = Sampler.COST_AWARE

# --- The command line ---------------------------------------------------------------------------


def clo(*arguments: str) -> str:
    """Return what a command prints on standard output; it has to end well."""
    out = io.StringIO()
    code: object = None
    with mock.patch.object(sys, "argv", ["clo", *arguments]), contextlib.redirect_stdout(out):
        try:
            run()
        except SystemExit as ended:
            code = ended.code
    assert not code, (arguments, code)
    return out.getvalue()


def clo_json(*arguments: str) -> Any:
    """Return what a command prints as JSON."""
    return json.loads(clo(*arguments, "--json"))


# --- Search: what is proposed -------------------------------------------------------------------


@contextmanager
def _quiet_and_alone() -> Iterator[None]:
    """Sums in another order would be another search."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def _noting(sampler: BaseSampler, proposed: list[Plain]) -> BaseSampler:
    """Let a sampler note what it proposes."""
    original = sampler.sample_relative

    def sample_relative(study: Any, trial: Any, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        found = original(study, trial, search_space)
        proposed.append(found)
        return found

    sampler.sample_relative = sample_relative  # type: ignore[method-assign]
    return sampler


def proposals_on_table(
    file: Path, columns: Sequence[str], objectives: tuple[str, str], *, seed: int, workers: int, budget: int,
    jiggle: float = 0.0,
) -> list[str]:  # fmt: skip
    """Return the models that the default sampler of a replayed search proposes, in order.

    Args:
        file: CSV of finished trainings.
        columns: That name a model.
        objectives: Column of the accuracy, and of the cost.
        seed: The search's.
        workers: Trainings at once.
        budget: Trainings.
        jiggle: Relative size of an error in every number of the table; tells how stable the sequence is.
    """
    maximize, minimize = objectives
    table = read_table(file, parameters=columns, maximize=maximize, minimize=minimize)
    if jiggle:
        rng = np.random.default_rng(1)
        accuracy, cost = (
            values * (1 + jiggle * rng.standard_normal(len(values))) for values in (table.accuracy, table.cost)
        )
        table = replace(table, accuracy=accuracy, cost=cost)
    proposed: list[Plain] = []

    def make(candidates: Candidates, preferences: Preferences, seed: int) -> BaseSampler:
        sampler = make_sampler(
            DEFAULT_SAMPLER, seed=seed, workers=workers, candidates=candidates, preferences=preferences
        )
        return _noting(sampler, proposed)

    with _quiet_and_alone():
        replay(table, make, Conditions(budget=budget, workers=workers), seed)
    return [" ".join(str(one[column]) for column in columns) for one in proposed]


def proposals_in_space(
    name: str, accuracy_of: Callable[[str, float], float], *, base: str, imgsz: int, seed: int, budget: int
) -> list[str]:
    """Return the identities of what the default sampler proposes in a search space, at one worker.

    Args:
        name: The space.
        accuracy_of: Gives an accuracy from an architecture's description and its share of the dearest one's MACs.
        base: Detector that the space is of.
        imgsz: Side of the image, in pixels.
        seed: The search's.
        budget: Proposals.
    """
    detector, space = space_of(name, base, imgsz)
    cost = CostTable(space, AdditiveCost.of_base(detector, find_sites(detector), classes=10, imgsz=imgsz))
    candidates = SpaceCandidates(space, lambda codes: cost.of(codes)[:, 1].astype(float))
    dearest = float(candidates.cost(candidates.draw(np.random.default_rng(0))).max())
    found = []
    with _quiet_and_alone():
        sampler = make_sampler(DEFAULT_SAMPLER, seed=seed, candidates=candidates, preferences=Preferences())
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        for _ in range(budget):
            trial = study.ask()
            architecture = space.suggest(trial)
            code = candidates.code(trial.params)
            assert code is not None
            macs = float(candidates.cost(code[None])[0])
            study.tell(trial, [accuracy_of(architecture.describe(), macs / dearest), macs])
            found.append(space.identity(architecture))
    return found


# --- Spaces and identities ----------------------------------------------------------------------


@cache
def space_of(name: str, base: str, imgsz: int) -> tuple[Base, SearchSpace]:
    """Return a detector and a search space of it."""
    detector = resolve_base(base)
    sites = find_sites(detector)
    maps = map_sizes(sites, imgsz)
    return detector, SearchSpace(load_space(name), base=base, channels=mode_channels(sites), maps=maps)


def space_figures(name: str, base: str, imgsz: int, most: int) -> Plain:
    """Return how large a space is and what its enumeration begins and ends with; ends only of up to `most`."""
    _, space = space_of(name, base, imgsz)
    ends = 5
    enumeration = space.enumerate()
    first = [space.identity(next(enumeration)) for _ in range(ends)]
    last = [space.identity(each) for each in list(enumeration)[-ends:]] if space.size <= most else None
    of_sites = {site: len(placements) for site, placements in space.placements.items()}
    shapes = {
        site: _digest([placement.to_dict() for placement in placements])
        for site, placements in space.placements.items()
    }
    questions = {
        site: {question: list(asked.choices) for question, asked in by_question.items()}
        for site, by_question in space.distributions.items()
    }
    return {
        "size": space.size, "placements": of_sites, "digests": shapes, "questions": questions, "first": first,
        "last": last,
    }  # fmt: skip


def architecture(base: str, placements: Sequence[Mapping[str, Any]]) -> Architecture:
    """Return an architecture of plain data."""
    return Architecture.from_dict({"base": base, "placements": [dict(each) for each in placements]})


def named_architecture(name: str) -> Architecture:
    """Return the article's model of that name."""
    found = read_architecture(name)
    assert found is not None
    return found


def identity_of(proposed: Architecture, imgsz: int) -> Plain:
    """Return an architecture's identity, alone and in a space, its line for people and what it is written as.

    A space knows the defaults of registered blocks, an architecture alone does not.
    """
    _, space = space_of("operators", proposed.base, imgsz)
    identity = proposed.identity(space.maps)
    written = proposed.to_dict()
    again = Architecture.from_dict(json.loads(json.dumps(written)))
    assert again.identity(space.maps) == identity, written
    return {
        "identity": identity, "in_a_space": space.identity(proposed), "describe": proposed.describe(),
        "written": written["placements"],
    }  # fmt: skip


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


# --- Networks -----------------------------------------------------------------------------------


def block_of(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Return a layer of `harness.blocks`."""
    made = getattr(harness_blocks, name)
    network: nn.Module = made.from_variant(arguments["variant"]) if name == "CloFormer" else made(**arguments)
    return network.eval()


def base_and_inserted(base: str, placements: Sequence[Mapping[str, Any]]) -> tuple[nn.Module, nn.Module, str]:
    """Return a base, the detector with its weights and blocks, and what was said of the transfer."""
    detector = resolve_base(base)
    wanted = architecture(base, placements)
    sites = find_sites(detector)
    plain = detector.build()
    inserted = build(insert(detector, wanted, sites=sites))
    said = transfer(plain, inserted, index_map(detector, wanted, sites))
    return plain.eval(), inserted.eval(), str(said)


def built(file: Path) -> nn.Module:
    """Return the network of a model or architecture file, with random weights."""
    network: nn.Module = find_detector(str(file)).load()
    return network


def write_checkpoint(network: nn.Module, path: Path) -> None:
    """Write a checkpoint as trainings and `clo export --to pt` do."""
    save_checkpoint(network, path)
