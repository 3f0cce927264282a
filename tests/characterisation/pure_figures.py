"""What the code does now, as plain data: the tests compare it with `expected/`, `accept_pure` writes it there."""

from __future__ import annotations

import hashlib
import importlib
import json
import pickletools
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from tests.characterisation import pure_door
from tests.characterisation.pure_cases import (
    ARTICLE,
    BASE,
    BLOCKS,
    COMMAND_BUDGET,
    COMMAND_SEEDS,
    COUNTED_BY_NAME,
    IMGSZ,
    INSERTED,
    OTHER_BASES,
    PLACEMENTS,
    SEEDS,
    SIMULATED,
    SPACE_PROPOSALS,
    SPACE_SEEDS,
    SPACES,
    STORED,
    STORED_IMGSZ,
    YOLOBENCH,
)

FOLDER = Path(__file__).parent
EXPECTED, CHECKPOINTS = FOLDER / "expected", FOLDER / "checkpoint"
COLUMNS = ("family", "depth", "width", "resolution")
OBJECTIVES = ("mAP_0.5:0.95", "nano_gpu_latency")
SPACE_BASE = "yolov5n"
"""The base that a search has by default."""
MOST_ENUMERATED = 10_000
_SEED = 0
_SHOWN = 8

Plain = dict[str, Any]


def expected(name: str) -> Any:
    """Return what was accepted."""
    return json.loads((EXPECTED / f"{name}.json").read_text(encoding="utf-8"))


# --- Searches -----------------------------------------------------------------------------------


def simulated(workers: int, seed: int, jiggle: float = 0.0) -> list[str]:
    """Return the models that a replayed search proposes, in order."""
    budget = SIMULATED[workers]
    return pure_door.proposals_on_table(
        YOLOBENCH, COLUMNS, OBJECTIVES, seed=seed, workers=workers, budget=budget, jiggle=jiggle
    )


def simulate_command(workers: int) -> Plain:
    """Return the JSON of `clo simulate` with the default sampler, without times and the table's place."""
    maximize, minimize = OBJECTIVES
    found: Plain = pure_door.clo_json(
        "simulate", str(YOLOBENCH), "--parameters", ",".join(COLUMNS), "--maximize", maximize, "--minimize", minimize,
        "--sampler", "cost-aware,random", "--budget", str(COMMAND_BUDGET), "--seeds", str(COMMAND_SEEDS),
        "--workers", str(workers), "--jobs", "1",
    )  # fmt: skip
    found["table"] = Path(found["table"]).name
    for each in found["results"]:
        assert each.pop("seconds_per_suggestion") >= 0
    return found


def in_space(name: str, seed: int, jiggle: float = 0.0) -> list[str]:
    """Return the identities that a search of a space proposes, where accuracy is a made-up function."""

    def accuracy_of(description: str, share: float) -> float:
        luck = int(hashlib.sha256(description.encode()).hexdigest()[:8], 16) / 16**8
        error = int(hashlib.sha256(f"{description}!".encode()).hexdigest()[:8], 16) / 16**8 - 0.5
        return (0.3 + 0.1 * share + 0.02 * luck) * (1 + jiggle * error)

    budget = SPACE_PROPOSALS[name]
    return pure_door.proposals_in_space(name, accuracy_of, base=SPACE_BASE, imgsz=IMGSZ, seed=seed, budget=budget)


# --- Identities and spaces ----------------------------------------------------------------------


def identities() -> dict[str, Plain]:
    """Return, by name, each architecture's identity and how it is written."""
    of_cases = {name: pure_door.architecture(BASE, placements) for name, placements in PLACEMENTS.items()}
    every = of_cases | {name: pure_door.named_architecture(name) for name in ARTICLE}
    return {name: pure_door.identity_of(each, IMGSZ) for name, each in every.items()}


def classes_of(found: Mapping[str, Mapping[str, Any]], key: str) -> list[list[str]]:
    """Return the groups of several architectures that have one identity."""
    groups: dict[str, list[str]] = {}
    for name, each in found.items():
        groups.setdefault(each[key], []).append(name)
    return sorted(names for names in groups.values() if len(names) > 1)


def space(name: str) -> Plain:
    """Return how large a space is, and what it asks."""
    return pure_door.space_figures(name, SPACE_BASE, IMGSZ, MOST_ENUMERATED)


# --- Models -------------------------------------------------------------------------------------


def models() -> dict[str, tuple[str, list[Plain]]]:
    """Return, by the name of its file, each model that is written: its base and its placements."""
    own = {_slug(name): (BASE, PLACEMENTS[name]) for name in INSERTED}
    return own | {f"on-{base}": (base, placements) for base, placements in OTHER_BASES.items()}


def counted_models() -> list[str]:
    """Return the names of those of `models` whose cost is counted: CloFormer's takes too long."""
    return [name for name in models() if name != "on-cloformer-xxs"]


def _slug(name: str) -> str:
    return "-".join(name.lower().replace(",", "").split())


def written_model(name: str, folder: Path) -> str:
    """Return the model YAML that `clo model` writes of an architecture file in that folder."""
    base, placements = models()[name]
    text = yaml.safe_dump({"base": base, "placements": placements}, sort_keys=False)
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    with chdir(folder):
        return pure_door.clo("model", f"{name}.yaml")


def counted(name: str, folder: Path) -> Plain:
    """Return parameters and MACs of an architecture file in that folder, by `clo cost`."""
    base, placements = models()[name]
    text = yaml.safe_dump({"base": base, "placements": placements}, sort_keys=False)
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return _count(str(folder / f"{name}.yaml"))


def counted_by_name(name: str) -> Plain:
    """Return the same of a model that is asked for by name."""
    return _count(name)


def _count(model: str) -> Plain:
    found = pure_door.clo_json("cost", model, "--imgsz", str(IMGSZ))
    return {key: found[key] for key in ("params", "macs")} | {
        f"fused_{key}": found["fused"][key] for key in ("params", "macs")
    }


# --- Outputs ------------------------------------------------------------------------------------


def image(*shape: int) -> Tensor:
    """Return a smooth picture with texture, 0 … 1, the same everywhere."""
    index = np.arange(np.prod(shape), dtype=np.float64)
    return torch.from_numpy((0.5 + 0.5 * np.sin(index * 0.7 + np.cos(index * 0.013))).reshape(shape).astype(np.float32))


def wake(network: nn.Module) -> None:
    """Give every vector of weights, layer scales that begin at 0 included, numbers that show in the output."""
    generator = torch.Generator().manual_seed(_SEED)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim == 1:
                weight.add_(0.3 * torch.randn(weight.shape, generator=generator))


def summary(output: Tensor) -> Plain:
    """Return a tensor's shape, mean, standard deviation and some of its numbers."""
    flat = output.detach().double().flatten()
    at = torch.linspace(0, len(flat) - 1, _SHOWN).round().long()
    return {
        "shape": list(output.shape), "mean": _short(flat.mean()), "std": _short(flat.std()),
        "some": [_short(each) for each in flat[at]],
    }  # fmt: skip


def _short(value: Tensor) -> float:
    return float(f"{float(value):.8g}")


@torch.no_grad()
def of_block(name: str) -> Plain:
    """Return what a block makes of a picture: as it starts, and with other weights."""
    kind, arguments = BLOCKS[name]
    torch.manual_seed(_SEED)
    block = pure_door.block_of(kind, arguments)
    x = image(1, 3, 64, 64) if kind == "CloFormer" else image(2, 16, 11, 8)
    started = summary(block(x))
    wake(block)
    return {"parameters": sum(p.numel() for p in block.parameters()), "started": started, "awake": summary(block(x))}


@torch.no_grad()
def of_detector(name: str) -> Plain:
    """Return what was said of the transfer, and what an inserted detector with other weights makes of a picture."""
    torch.manual_seed(_SEED)
    _, inserted, said = pure_door.base_and_inserted(BASE, PLACEMENTS[name])
    wake(inserted)
    return {"transfer": said, **_summaries(inserted, 64)}


def detections(network: nn.Module, imgsz: int) -> tuple[Tensor, Tensor]:
    """Return boxes of a picture in pixels, (1, 4, N), and scores as logits, (1, classes, N): they are near 0."""
    found = network(image(1, 3, imgsz, imgsz))
    output: Tensor = found[0] if isinstance(found, tuple) else found
    return output[:, :4], torch.logit(output[:, 4:])


def _summaries(network: nn.Module, imgsz: int) -> Plain:
    boxes, scores = detections(network, imgsz)
    return {"boxes": summary(boxes), "scores": summary(scores)}


# --- Checkpoints --------------------------------------------------------------------------------


def write_checkpoint(name: str) -> None:
    """Write a small detector as trainings do, in half precision; nothing of it names a place on this machine."""
    base, placements = STORED[name]
    torch.manual_seed(_SEED)
    with tempfile.TemporaryDirectory() as temporary, chdir(temporary):
        Path("tiny.yaml").write_text(yaml.safe_dump(base, sort_keys=False), encoding="utf-8")
        file = Path("inserted.yaml")
        file.write_text(yaml.safe_dump({"base": "tiny.yaml", "placements": placements}), encoding="utf-8")
        network: Any = pure_door.built(file if placements else Path("tiny.yaml"))
        network.names = dict(enumerate(("one", "two", "three")))
        network.yaml.pop("yaml_file", None)
        wake(network)
        pure_door.write_checkpoint(network.half().eval(), CHECKPOINTS / f"{name}.pt")


@torch.no_grad()
def of_checkpoint(name: str) -> Plain:
    """Return what a stored checkpoint makes of a picture, loaded by Ultralytics after `import harness`."""
    importlib.import_module("harness")
    ultralytics: Any = importlib.import_module("ultralytics")
    network = ultralytics.YOLO(str(CHECKPOINTS / f"{name}.pt")).model.float().eval()
    return {
        "classes": sorted({type(each).__name__ for each in network.modules() if _is_ours(type(each))}),
        "names": {str(number): each for number, each in network.names.items()},
        **_summaries(network, STORED_IMGSZ),
    }


def _is_ours(kind: type) -> bool:
    return kind.__module__.startswith("harness.")


def pickled_names(name: str) -> list[str]:
    """Return every `harness.…` name that the pickle in a checkpoint asks for, as `module:name`."""
    with zipfile.ZipFile(CHECKPOINTS / f"{name}.pt") as archive:
        inside = next(each for each in archive.namelist() if each.endswith("data.pkl"))
        steps = list(pickletools.genops(archive.read(inside)))
    asked = {str(argument).replace(" ", ":") for step, argument, _ in steps if step.name == "GLOBAL"}
    assert not any(step.name == "STACK_GLOBAL" for step, _, _ in steps)
    return sorted(each for each in asked if each.startswith("harness"))


def of_commands(name: str) -> Plain:
    """Return what `clo sites` and `clo cost` say of a stored checkpoint."""
    file = str(CHECKPOINTS / f"{name}.pt")
    return {"sites": pure_door.clo_json("sites", file), "cost": _count(file)}


# --- All files of `expected/` but the model YAMLs -----------------------------------------------


def all_simulations() -> Plain:
    """Return `simulate.json`."""
    return {
        "proposals": {str(w): {str(seed): simulated(w, seed) for seed in SEEDS} for w in SIMULATED},
        "command": {str(w): simulate_command(w) for w in SIMULATED},
        "space": {n: {str(seed): in_space(n, seed) for seed in SPACE_SEEDS} for n in SPACE_PROPOSALS},
    }


def all_identities() -> Plain:
    """Return `identities.json`."""
    found = identities()
    return {
        "architectures": found,
        "one_function": {key: classes_of(found, key) for key in ("identity", "in_a_space")},
        "spaces": {name: space(name) for name in SPACES},
    }


def all_costs(folder: Path) -> Plain:
    """Return `costs.json`."""
    return {name: counted(name, folder) for name in counted_models()} | {
        COUNTED_BY_NAME: counted_by_name(COUNTED_BY_NAME)
    }


def all_outputs() -> Plain:
    """Return `golden.json`."""
    return {
        "blocks": {name: of_block(name) for name in BLOCKS},
        "detectors": {name: of_detector(name) for name in INSERTED},
    }


def all_checkpoints() -> Plain:
    """Return `checkpoint.json`."""
    return {name: {**of_checkpoint(name), **of_commands(name), "pickled_names": pickled_names(name)} for name in STORED}
