"""A study that has begun, whose architectures are real models of two classes, without any training."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from harness.ablation.loop import weights_path
from harness.architecture import BASELINE, Architecture, Kind, LocalGroup, Placement
from harness.detectors import Base, Site, build, find_sites, insert, resolve_base, to_yaml
from harness.detectors.model_yaml import Description
from harness.record.settings import SearchSettings
from harness.record.state import State
from harness.record.study import LAST_RUN, StudyRecord
from harness.storage.opening import open_study
from harness.training.accuracy import save_checkpoint

IDENTITY = "1a2b3c4d"
THEIR_BLOCK = """
from torch import Tensor, nn
from harness.blocks import register_block


@register_block("{name}")
class Mixing(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(x)
"""
BLOCK = Placement(site="neck.P4", kind=Kind.BLOCK, groups=(LocalGroup(3, 2),), global_heads=2, kv_pool=2, ffn_ratio=2)
COSTS = {"latency_ms_p50": 9.0, "latency_ratio": 1.0, "macs": 100, "flops": 200, "params": 30}


def their_block(folder: Path, name: str) -> tuple[Path, Placement]:
    """A file with a block of a user's own, and where it goes."""
    file = folder / f"{name}.py"
    file.write_text(THEIR_BLOCK.format(name=name))
    return file, Placement(site="backbone.P4", kind=f"{file}:{name}")


@cache
def base() -> Base:
    return resolve_base("yolov5n")


@cache
def sites() -> dict[str, Site]:
    return find_sites(base())


def description(*placements: Placement, classes: int = 2) -> Description:
    architecture = Architecture(base="yolov5n", placements=placements)
    return insert(base(), architecture, sites=sites(), classes=classes)


def begun_with(
    results: Path,
    placements: tuple[Placement, ...] = (BLOCK,),
    seeds: dict[int, tuple[int, ...]] | None = None,
    *,
    classes: int = 2,
    data: str = "digits",
    **comparable: Any,
) -> StudyRecord:
    """Study `x` at 64 px: baseline and one candidate, complete.

    Args:
        results: Folder that holds the study's.
        placements: The candidate's.
        seeds: Epochs to the seeds of its rows; one row of three epochs by default.
        classes: Of the data.
        data: The data set.
        comparable: What else its settings hold.
    """
    settings = SearchSettings(study="x", results=results, imgsz=64, data=data)
    with open_study(settings, comparable) as study:
        study.optuna.set_user_attr(LAST_RUN, settings.model_dump(mode="json"))
        for epochs, each in (seeds or {3: (0,)}).items():
            for seed in each:
                for name, its in ((BASELINE, ()), (IDENTITY, placements)):
                    trial = study.optuna.ask()
                    row = {"seed": seed, "base_seed": 0, "epochs": epochs, "selected_on": epochs == 3}
                    architecture = Architecture(base="yolov5n", placements=its)
                    text = to_yaml(description(*its, classes=classes), name)
                    study.begin(trial, architecture, name, text, row)
                    figures = {"map50_95": 0.5, "map50": 0.7, "train_seconds": 1.0, **COSTS}
                    study.end(trial, State.COMPLETE, figures)
        return study.record()


def keep_weights(results: Path, epochs: int, seed: int, config: Description | None = None) -> Path:
    """A checkpoint of random weights where a long training of the candidate would have left one."""
    path = weights_path(results / "x", IDENTITY, 0, seed, epochs)
    model = build(config or description(BLOCK))
    model.names = {0: "cat", 1: "it's"}
    save_checkpoint(model, path)
    return path
