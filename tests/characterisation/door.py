"""The one place where the tests of stored studies reach inside the program.

All else goes through the command line and through files. When code moves, this file follows and no other of this
folder does; when a name that users type or read changes, a test of this folder has to fail instead.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, NoReturn

import pytest
import typer

from harness.ablation.fidelity_plan import FidelityPlan, Rung
from harness.architecture import Architecture, LocalGroup
from harness.architecture.placement import Placement
from harness.blocks.registry import BlockEntry
from harness.cli import app as cli
from harness.cost.space_cost import AdditiveCost
from harness.export.verify import Compared
from harness.jobs.base import CommonBase
from harness.jobs.trial import Measured
from harness.record.ablation_file import AblationFile
from harness.record.state import Failure, State
from harness.space.space_file import PlacementChoices, SpaceFile
from harness.storage.records import load_record
from harness.training.accuracy import Accuracy

CPU = "cpu Example CPU"
"""The kind of device that studies are made on, whatever the machine."""
EVALUATOR = "Example validator 1.0"

_STARTED_BY = ("harness.search.run", "harness.ablation.run", "harness.ablation.train_chosen")
"""Modules that begin trainings."""
_DESCRIBED_BY = ("harness.search.run", "harness.ablation.run")
"""Modules that write down the machine."""


# --- The command line ---------------------------------------------------------------------------


class Said(NamedTuple):
    """What a command has said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it says to scripts."""
        assert self.code == 0, self
        return json.loads(self.out)


def clo(*arguments: str) -> Said:
    """Run a command in this process, in the working folder."""
    out, err, code, before = io.StringIO(), io.StringIO(), 0, sys.argv
    sys.argv = ["clo", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.argv = before
    return Said(code, out.getvalue(), err.getvalue())


def clo_without_pictures(*arguments: str) -> Said:
    """Run a command that writes a report."""
    with pytest.MonkeyPatch.context() as patch:
        pretend_pictures(patch)
        return clo(*arguments)


def commands() -> dict[str, Any]:
    """Return every command of the program by its name; the program's own options under an empty name."""
    program: Any = typer.main.get_command(cli.app)
    return {"": program, **program.commands}


# --- Trainings that are pretended ---------------------------------------------------------------


class Killed(BaseException):
    """The process dies without a chance to tidy up."""


class Asked(NamedTuple):
    """A training that was asked for: which model, under which seed, how many epochs in all."""

    model: str
    seed: int
    epochs: int


def draw(*parts: object) -> float:
    """Return a number from 0 to 1 that the parts decide."""
    return zlib.crc32(json.dumps(parts).encode()) / 2**32


class Trainings:
    """Stands for the processes that train: a model, its seed and its epochs decide what a training yields.

    Attributes:
        asked: What was asked for, in order; pretrained baselines are not among it.
        killed_at: Number of the training, from 1, at which the process dies; None lets all end.
        fails: Says which trainings fail, and how.
    """

    def __init__(self, fails: Callable[[Asked], Failure | None] = lambda _: None) -> None:
        self.asked: list[Asked] = []
        self.killed_at: int | None = None
        self.fails = fails
        self.workers = 1
        self._started: list[tuple[Any, Any]] = []

    def __call__(self, _on_progress: object = None, _log: object = None, workers: int = 1) -> Trainings:
        self.workers = workers
        return self

    def one_at_a_time(self) -> bool:
        self.workers = 1
        return True

    def __enter__(self) -> Trainings:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._started.clear()

    def start(self, key: Any, _function: object, job: Any) -> None:
        if hasattr(job, "training"):
            self.asked.append(_asked(job.training))
        self._started.append((key, job))

    def within(self, _seconds: float | None) -> tuple[Any, Any]:
        return self.next()

    def next(self) -> tuple[Any, Any]:
        if self.killed_at is not None and len(self.asked) >= self.killed_at:
            raise Killed
        key, job = self._started.pop(0)
        return key, self._outcome(job)

    def ended(self) -> list[tuple[Any, Any]]:
        return []

    def _outcome(self, job: Any) -> Measured | Accuracy | Failure:
        if not hasattr(job, "training"):  # a pretrained baseline, or one model
            return trained(job)
        for each in (*job.before, job.training):
            assert each.start is None or each.start.is_file(), f"{each.start}: what it goes on from is missing"
        if failure := self.fails(_asked(job.training)):
            return failure
        for lost in job.before:
            trained(lost)
        accuracy = trained(job.training)
        return Measured(accuracy=accuracy, latency=_latency(job), cpu_seconds=10.0)


def trained(training: Any, *_: object, **__: object) -> Accuracy:
    """Pretend a training: its weights, if they are wanted, and an accuracy."""
    model, seed, epochs = _asked(training)
    if training.save_to:
        training.save_to.parent.mkdir(parents=True, exist_ok=True)
        training.save_to.write_text(json.dumps([model, seed, epochs]))
    luck = (draw(seed, epochs) - 0.5) / 50 + (draw(model, seed, epochs) - 0.5) / 100
    accuracy = 0.4 + epochs / 200 + draw(model, "accuracy") / 20 + luck
    return Accuracy(
        map50_95=accuracy,
        map50=accuracy + 0.2,
        evaluator=EVALUATOR,
        ultralytics_map50_95=accuracy + 0.001,
        coco_map50_95=accuracy - 0.001,
        coco_map50=accuracy + 0.199,
        coco_map_small=accuracy / 2,
        coco_map_large=accuracy * 1.25,
        per_class={name: accuracy + (draw(model, seed, name) - 0.5) / 20 for name in ("spot", "stripe")},
        train_seconds=5.0 * epochs,
        transferred="trained from scratch" if training.base_weights is None else "9 of 9 base tensors transferred",
        image_influence=tuple(draw(model, seed, epochs, image) / 50 - 0.01 for image in range(12)),
    )


def _asked(training: Any) -> Asked:
    config = training.config
    model = hashlib.sha256(json.dumps([config["backbone"], config["head"]]).encode()).hexdigest()[:8]
    return Asked(model, training.seed, training.trained_epochs + training.schedule.epochs)


def _latency(job: Any) -> Any:
    if not job.measure_latency:
        return None
    ratio = 1.0 + draw(_asked(job.training).model, "latency") / 2
    timing = SimpleNamespace(p50=10.0 * ratio, p90=11.0 * ratio)
    return SimpleNamespace(
        candidate=timing, baseline=SimpleNamespace(p50=10.0, p90=11.0), ratio=ratio,
        ratio_ci95=(ratio - 0.01, ratio + 0.01),
    )  # fmt: skip


def failure(state: str, reason: str) -> Failure:
    """Return what a training yields that fails."""
    return Failure(state=State(state), reason=reason)


# --- What is pretended around them --------------------------------------------------------------


def pretend(patch: pytest.MonkeyPatch, trainings: Trainings, *, kind: str = CPU) -> Trainings:
    """Pretend the trainings of searches, ablations and single models, and the machine that they run on.

    A cost is that of the model's parameters: counting multiplications takes a while and has tests of its own.

    Args:
        patch: Takes all of it back.
        trainings: What stands for them.
        kind: Of the device.
    """
    for name in _STARTED_BY:
        patch.setattr(f"{name}.start_server", lambda: None)
    for name in _DESCRIBED_BY:
        patch.setattr(f"{name}.environment", environment)
    patch.setattr("harness.search.run.device_kind", lambda _: kind)
    patch.setattr("harness.search.run.AdditiveCost.of_base", _cost_of_base)
    patch.setattr("harness.jobs.place.Children", trainings)
    patch.setattr("harness.search.loop.write_parquet", lambda *_, **__: None)
    patch.setattr("harness.search.loop.model_cost", _cost)
    patch.setattr("harness.ablation.models.model_cost", _cost)
    pretend_pictures(patch)
    return trainings


def forbid_training(patch: pytest.MonkeyPatch) -> None:
    """Let whatever would train fail."""
    patch.setattr("harness.jobs.executors.Children.start", _never)


def pretend_fidelity(patch: pytest.MonkeyPatch) -> None:
    """Pretend a fidelity study's trainings and its pretrained baseline."""
    patch.setattr("harness.ablation.fidelity.common_base", lambda *_, **__: CommonBase(weights=None, origin=""))
    patch.setattr("harness.jobs.place.Children", Trainings())


def _never(*_: object, **__: object) -> NoReturn:
    raise AssertionError("a training was started")


def pretend_pictures(patch: pytest.MonkeyPatch) -> None:
    """Draw nothing: pictures take most of a report's time and hold no record."""
    for place in ("write.draw_png", "write.draw_svg", "write.draw_forest", "several.draw_png",
                  "several.draw_forest"):  # fmt: skip
        patch.setattr(f"harness.report.{place}", lambda *_, **__: b"picture")


def pretend_fresh_process(patch: pytest.MonkeyPatch) -> None:
    """Pretend the process in which an export is loaded and compared."""
    compared = Compared(engine="torch 9", output_shape=(1, 6, 84), max_difference=0.0)
    patch.setattr("harness.export.export.compare_in_fresh_process", lambda *_: compared)


def environment(*, device: str, data_fingerprint: str | None, command: Sequence[str], seeds: Sequence[int] = ()) -> Any:
    """Return where a study ran, of a machine that there is not."""
    return {
        "time": "2026-01-01T00:00:00+00:00",
        "command": " ".join(command),
        "program": "clo",
        "folder": "/study",
        "clo_nas": "0.1.0",
        "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False},
        "python": "3.12.0",
        "implementation": "CPython",
        "platform": "Linux",
        "packages": {"torch": "2.13.0", "ultralytics": "8.4.190", "optuna": "5.0.0"},
        "cpu": {"model": "Example CPU", "cores": 8, "usable_cores": 2},
        "device": {"asked": device, "threads": 1, "name": "cpu"},
        "data": data_fingerprint,
        "seeds": list(seeds),
    }


_of_base = AdditiveCost.of_base
_known_costs: dict[Any, Any] = {}


def _cost_of_base(base: Any, sites: Any, *, classes: int, imgsz: int) -> Any:
    """The cost of a search space, counted once: all stored studies are of one base."""
    key = (base.fingerprint, classes, imgsz)
    if key not in _known_costs:
        _known_costs[key] = _of_base(base, sites, classes=classes, imgsz=imgsz)
    return _known_costs[key]


def _cost(model: Any, _imgsz: int) -> Any:
    params = sum(parameter.numel() for parameter in model.parameters())
    return SimpleNamespace(params=params, macs=50.0 * params, flops=100.0 * params)


# --- Names --------------------------------------------------------------------------------------


def yaml_keys() -> dict[str, Mapping[str, Any]]:
    """Return the keys of each kind of file that users write, with whether a key has to be there."""
    models: dict[str, Any] = {
        "search space": SpaceFile, "search space: placement": PlacementChoices, "ablation": AblationFile,
        "fidelity plan": FidelityPlan, "fidelity plan: long and short": Rung,
    }  # fmt: skip
    return {
        name: {key: "required" if field.is_required() else "optional" for key, field in model.model_fields.items()}
        for name, model in models.items()
    }


def architecture_keys() -> dict[str, Any]:
    """Return an architecture with one block, as its file has it."""
    placement = Placement(site="neck.P4", groups=(LocalGroup(3, 2),), global_heads=2)
    return Architecture(base="yolov5n", placements=(placement,)).to_dict()


def public_functions() -> dict[str, Any]:
    """Return what users import, by where they import it from: the functions of the analysis and the blocks."""
    places = {"harness.analysis.statistics": ["summarise"], "harness.analysis.fronts": ["non_dominated"]}
    found = {f"{module}.{name}": getattr(importlib.import_module(module), name)
             for module, names in places.items() for name in names}  # fmt: skip
    return found | {"harness.blocks.BlockEntry": BlockEntry}


def stored_architectures(file: Path, study: str) -> list[str]:
    """Return the identities of a stored study."""
    return list(load_record(f"sqlite:///{file}", study).architectures)


@contextlib.contextmanager
def pretended(trainings: Trainings | None = None, *, kind: str = CPU) -> Iterator[Trainings]:
    """As `pretend`, until the block ends."""
    with pytest.MonkeyPatch.context() as patch:
        yield pretend(patch, trainings or Trainings(), kind=kind)
