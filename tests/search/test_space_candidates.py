"""A search space as the sampler sees it."""

from __future__ import annotations

import numpy as np
import optuna
import pytest

from harness.architecture import Architecture
from harness.cost.space_cost import AdditiveCost, CostTable
from harness.detectors import find_sites, map_sizes, mode_channels, resolve_base
from harness.record.constraints import Constraints
from harness.search.region import Region
from harness.search.space_candidates import SpaceCandidates
from harness.space import SearchSpace, load_space


def space_of(name: str, required: tuple[str, ...] = ()) -> tuple[SearchSpace, AdditiveCost]:
    base = resolve_base("yolov5n")
    sites = find_sites(base)
    space = SearchSpace(
        load_space(name), base="yolov5n", channels=mode_channels(sites), maps=map_sizes(sites, 64), required=required
    )
    return space, AdditiveCost.of_base(base, sites, classes=10, imgsz=64)


def candidates_of(name: str, **bounds: float) -> SpaceCandidates:
    space, cost = space_of(name)
    table = CostTable(space, cost)
    region = Region(space, cost, Constraints.model_validate(bounds)) if bounds else None
    return SpaceCandidates(space, lambda codes: table.of(codes)[:, 1].astype(float), region)


@pytest.fixture(scope="module")
def large() -> SpaceCandidates:
    return candidates_of("default")


def test_a_small_space_is_looked_at_whole() -> None:
    candidates = candidates_of("small")
    assert candidates.is_complete
    codes = candidates.draw(np.random.default_rng(0))
    found = {candidates.space.identity(candidates.architecture(code)) for code in codes}
    assert found == {candidates.space.identity(architecture) for architecture in candidates.space.enumerate()}


@pytest.mark.parametrize("name", ["small", "default", "inside"])
def test_parameters_lead_back_to_the_code_and_are_among_the_distributions(name: str) -> None:
    candidates = candidates_of(name)
    rng = np.random.default_rng(1)
    for code in rng.permutation(candidates.draw(rng))[:40]:
        parameters = candidates.parameters(code)
        assert candidates.code(parameters) is not None
        np.testing.assert_array_equal(candidates.code(parameters), code)
        for parameter, value in parameters.items():
            assert value in candidates.distributions[parameter].choices
        trial = optuna.trial.FixedTrial(parameters)
        identity = candidates.space.identity(candidates.space.suggest(trial))
        assert identity == candidates.space.identity(candidates.architecture(code))


def test_every_question_of_the_space_is_among_the_distributions(large: SpaceCandidates) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(100):
        trial = study.ask()
        large.space.suggest(trial)
        for name, distribution in trial.distributions.items():
            assert large.distributions[name] == distribution


def test_the_base_is_no_candidate_but_is_learnt_from(large: SpaceCandidates) -> None:
    base = Architecture(base="yolov5n")
    parameters = large.space.parameters(base)
    np.testing.assert_array_equal(large.code(parameters), np.zeros(len(large.space.sites)))
    assert (large.draw(np.random.default_rng(0)) > 0).any(axis=1).all()


def test_parameters_of_another_space_are_no_candidate(large: SpaceCandidates) -> None:
    assert large.code({"depth": 3}) is None
    assert large.code({}) is None


def test_neighbours_differ_at_one_site_and_are_legal(large: SpaceCandidates) -> None:
    rng = np.random.default_rng(2)
    parent = large.draw(rng)[:1]
    near = large.neighbours(parent, rng)
    assert len(near) > 1
    assert ((near != parent).sum(axis=1) <= 1).all()
    blocks = (near > 0).sum(axis=1)
    assert blocks.min() >= 1 and blocks.max() <= large.space.file.max_blocks


def test_neighbours_keep_a_required_site() -> None:
    space, cost = space_of("default", required=("neck.P3",))
    table = CostTable(space, cost)
    candidates = SpaceCandidates(space, lambda codes: table.of(codes)[:, 1].astype(float))
    rng = np.random.default_rng(3)
    near = candidates.neighbours(candidates.draw(rng)[:20], rng)
    assert (near[:, space.sites.index("neck.P3")] > 0).all()


def test_only_what_is_within_the_bounds_is_drawn_or_near(large: SpaceCandidates) -> None:
    rng = np.random.default_rng(4)
    bound = float(np.quantile(large.cost(large.draw(rng)), 0.02))  # so rare that the bounds are searched
    candidates = candidates_of("default", max_macs=bound)
    drawn = candidates.draw(rng)
    assert len(drawn) > 100
    assert candidates.cost(drawn).max() <= bound
    assert candidates.cost(candidates.neighbours(drawn[:30], rng)).max() <= bound


def test_architectures_that_differ_in_a_kernel_are_nearer_than_those_that_differ_in_a_site(
    large: SpaceCandidates,
) -> None:
    site = large.space.sites[0]
    choices = large.space.choices(site)
    one = next(n for n, chosen in enumerate(choices) if chosen.get("kernel") == 3 and chosen["kind"] == "attention")
    twin = {**choices[one], "kernel": 5}
    other = choices.index(twin)
    codes = np.zeros((3, len(large.space.sites)), dtype=np.int64)
    codes[0, 0], codes[1, 0], codes[2, 1] = one + 1, other + 1, 1
    features, groups = large.features(codes)
    distance = np.linalg.norm(features - features[0], axis=1)
    assert 0 < distance[1] < distance[2]
    assert sum(group.stop - group.start for group in groups) == features.shape[1]
