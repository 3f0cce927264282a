"""Decide what a checkpoint is, before anything is measured or trained of it: the one place where all commands ask.

A search, a training and a count build a network anew from the description that a checkpoint carries, and put the
checkpoint's tensors into it. So a checkpoint is used where its tensors are exactly those of its description, and is
refused by its reason where they are not: then what is measured would not be what is trained.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

_HEAD_BYTES = 512
# Buffers that the counter THOP leaves on the modules of a network that it has counted.
_COUNTERS = ("total_ops", "total_params")
_AS_TRAINED = "give the checkpoint that its training wrote, such as best.pt or last.pt"
_PAGE = "is a web page under the name of a checkpoint, as a failed download leaves it; download the file anew"
_POINTER = "is a Git LFS pointer, a few lines of text in the place of the file; fetch the file with `git lfs pull`"
_DAMAGED = "is damaged, or a part of a checkpoint, as a broken download leaves it; download or copy it anew"
# The beginnings of texts that stands in a checkpoint's place, in small letters, and what it is.
_TEXTS = (
    ("version https://git-lfs", _POINTER),
    *((start, _PAGE) for start in ("<!doctype", "<html", "<head", "<?xml", "<!--")),
)


def fault_of_file(path: Path) -> str | None:
    """Say what a file is instead of a checkpoint, by its first bytes; None where it may be one."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    text = head.decode("utf-8", errors="ignore").lstrip("\ufeff \t\r\n").lower()
    if found := [what for start, what in _TEXTS if text.startswith(start)]:
        return found[0]
    if zipfile.is_zipfile(path):
        return _fault_of_archive(path)
    if head.startswith(b"PK"):
        return "is a part of a checkpoint, as a broken download or copy leaves it; download or copy it anew"
    if not head:
        return f"is empty; {_AS_TRAINED}"
    if not head.startswith(b"\x80"):  # a pickle of torch before 1.6
        return f"is no PyTorch checkpoint, whatever its name says; {_AS_TRAINED}"
    return None


def _fault_of_archive(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError, struct.error):
        return _DAMAGED
    if "constants.pkl" in names:
        return f"is an exported model (TorchScript), which has no description to build from; {_AS_TRAINED}"
    return None if "data.pkl" in names else f"is a zip archive without a checkpoint; unpack it, and {_AS_TRAINED}"


def fault_of_content(path: Path) -> str:
    """Say why a file that torch reads as far as it can holds no detector; nothing of the file's is run."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # noqa: BLE001 - each kind of damage has an exception of its own
        return _DAMAGED
    inner = content.get("model", content.get("state_dict", content)) if isinstance(content, Mapping) else content
    if isinstance(inner, Mapping) and any(isinstance(value, torch.Tensor) for value in inner.values()):
        return (
            "holds weights alone (a state dict) and no description of the network that they belong to; "
            f"{_AS_TRAINED} with Ultralytics"
        )
    return f"holds no detector of Ultralytics'; {_AS_TRAINED}"


def fault_of_names(unknown: list[str]) -> str | None:
    """Say which other program wrote a checkpoint, by the names of layers in it that are not known here."""
    modules = {name.rpartition(".")[0] for name in unknown}
    if modules & {"models.yolo", "models.common", "models.experimental"}:
        return (
            "was written by a YOLO repository with its own code (the original YOLOv5, YOLOv7 or YOLOv9), which is not "
            "Ultralytics' package; give a checkpoint of that package, yolov5su.pt in place of yolov5s.pt for instance, "
            "or train the model's YAML here"
        )
    theirs = [name for name in unknown if name.startswith("ultralytics.nn.")]
    if theirs:
        layers = ", ".join(sorted({name.rpartition(".")[2] for name in theirs}))
        return (
            f"was made with a changed or another version of Ultralytics: the installed one does not have its {layers}; "
            "install that version, or train the model's YAML here"
        )
    return None


def without_left_overs(model: nn.Module) -> nn.Module:
    """Remove, in place, what counters and trainings left on a network and what is not of it; return the network."""
    for module in model.modules():
        for name in _COUNTERS:
            module._buffers.pop(name, None)
    model.__dict__.pop("criterion", None)
    model._modules.pop("criterion", None)
    return model


def fault_of_network(model: nn.Module, described: nn.Module) -> str | None:
    """Say why a checkpoint's network is not the one that its description builds; None where all tensors agree.

    Args:
        model: The checkpoint's, `without_left_overs`.
        described: Built from the description that it carries, with the classes of its head.
    """
    theirs, ours = dict(_shapes(model)), dict(_shapes(described))
    if theirs == ours:
        return None
    if any(_is_merged(name, theirs, ours) for name in theirs):
        return (
            "its batch norms are merged into its convolutions (it is fused, as for an export), and cannot be trained "
            f"any more; {_AS_TRAINED}"
        )
    differing = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
    first = next((name for name in differing if name in theirs and name in ours), differing[0])
    return (
        f"{len(differing)} of its {len(theirs)} tensors are not those of the description that it carries: "
        f"{_named(first, theirs.get(first), ours.get(first))}. It was pruned or changed after it was built, and a "
        "search or training would build the network of the description instead; give the checkpoint from before, or "
        "a YAML that describes the changed network"
    )


def _shapes(network: nn.Module) -> Iterator[tuple[str, tuple[int, ...]]]:
    for name, tensor in network.state_dict().items():
        yield name, tuple(tensor.shape)


def _is_merged(name: str, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> bool:
    """Tell whether a bias stands where the description has none, in a unit whose norm is gone: the norm was merged."""
    unit = name.removesuffix(".bias").rpartition(".")[0]
    lost = (other for other in ours.keys() - theirs.keys() if other.endswith(".running_mean"))
    return name.endswith(".bias") and name not in ours and any(other.startswith(f"{unit}.") for other in lost)


def _named(tensor: str, there: tuple[int, ...] | None, described: tuple[int, ...] | None) -> str:
    """Describe one differing tensor as a person speaks of it: by its layer's number and its channels."""
    _, number, *_ = tensor.split(".")
    if there is None or described is None:
        return f"layer {number} has other parts"
    return f"layer {number} has a tensor of {' × '.join(map(str, there))} for one of {' × '.join(map(str, described))}"
