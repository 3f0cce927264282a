"""Data, a base and trainings that the tests of a module share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from ultralytics.utils import LOGGER

from harness.architecture import Architecture
from harness.data.digits import DigitsSettings, ensure_digits
from harness.detectors import build, find_sites, index_map, insert, resolve_base
from harness.training.accuracy import Training, save_checkpoint
from tests.training.watched import IMAGES, SCHEDULE, Run, watch


@pytest.fixture(scope="module")
def torch_as_it_was() -> Iterator[None]:
    """A training happens in a process of its own, so it may set what is global; these run in the tests' process."""
    threads, level = torch.get_num_threads(), LOGGER.level
    deterministic = torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    LOGGER.setLevel(level)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    few = DigitsSettings(train_images=IMAGES, val_images=8, height_min=24, height_max=60)
    return ensure_digits(tmp_path_factory.mktemp("data"), few)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base's checkpoint; what is in it does not matter here, so it is not trained."""
    torch.manual_seed(77)
    path = tmp_path_factory.mktemp("base") / "base.pt"
    save_checkpoint(build(resolve_base("yolov5n").config, 10), path)
    return path


@pytest.fixture(scope="module")
def training(data: Path, weights: Path) -> Callable[..., Training]:
    base = resolve_base("yolov5n")
    sites = find_sites(base)

    def describe(architecture: Architecture, seed: int = 0, **others: Any) -> Training:
        return replace(
            Training(
                config=insert(base, architecture, sites=sites, classes=10),
                data=str(data),
                classes=10,
                schedule=SCHEDULE,
                seed=seed,
                device="cpu",
                threads=1,
                base_config=base.config,
                base_weights=weights,
                layers=index_map(base, architecture, sites),
            ),
            **others,
        )

    return describe


@pytest.fixture(scope="module")
def run(training: Callable[..., Training], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Train, or give what the same training yielded before; `attempt` asks for another go at the same."""
    done: dict[tuple[Any, ...], Run] = {}

    def once(architecture: Architecture, seed: int = 0, attempt: int = 0) -> Run:
        key = architecture, seed, attempt
        if key not in done:
            done[key] = watch(training(architecture, seed), tmp_path_factory.mktemp("run") / "trained.pt")
        return done[key]

    return once
