"""Base models: from a name, a YAML or a checkpoint to one concrete model description."""

from __future__ import annotations

import copy
import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import nn
from ultralytics.nn.tasks import DetectionModel, load_checkpoint

from harness.common import yaml_file
from harness.common.errors import UserError, lacks_memory
from harness.detectors.checkpoints import BLOCK_FILES, refused
from harness.detectors.description import describe, in_one_scale, silence
from harness.detectors.examined import fault_of_content, fault_of_file, fault_of_network, without_left_overs
from harness.detectors.model_yaml import Description
from harness.detectors.parser import class_width
from harness.detectors.rows import BUILD_ERRORS, faulty_row


@dataclass(frozen=True, kw_only=True)
class Base:
    """A detector that blocks can be inserted into.

    Attributes:
        name: What the user called it, without folder.
        config: Ultralytics model description with exactly one entry under `scales`.
        checkpoint: Weights to start from, or None for random initialisation.
    """

    name: str
    config: Description
    checkpoint: Path | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Hash of description and weights: a file may change under its name."""
        apart = (
            {"yaml_file", "class_width"} if self.checkpoint else {"yaml_file"}
        )  # a checkpoint's bytes have its width
        described = {name: value for name, value in self.config.items() if name not in apart}
        digest = hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode())
        for file in (*self.config.get(BLOCK_FILES, ()), *((self.checkpoint,) if self.checkpoint else ())):
            digest.update(Path(file).read_bytes() if Path(file).is_file() else b"")
        return digest.hexdigest()[:16]

    def build(self, classes: int | None = None) -> DetectionModel:
        """Build the network with random weights; `classes` overrides the description's number."""
        return build(self.config, classes)

    def load(self) -> DetectionModel:
        """Load the network of the description with its checkpoint's weights, or random ones where it has none.

        Raises:
            UserError: The checkpoint holds another network than the description builds.
        """
        return self._with_weights(read_checkpoint(self.checkpoint)[0]) if self.checkpoint else self.build()

    def _with_weights(self, model: DetectionModel) -> DetectionModel:
        """Rebuild what a checkpoint holds: it is then the very network that a search or training would build."""
        head: Any = model.model[-1]
        network = self.build(getattr(head, "nc", None))
        if why := fault_of_network(model, network):
            raise UserError(f"{self.checkpoint}: {why}")
        network.load_state_dict(model.state_dict())
        network.names = model.names
        return network.eval()


def resolve_base(spec: str) -> Base:
    """Find the detector that `spec` names.

    Args:
        spec: Model name (`yolov5n`, `yolov8s.yaml`, `yolov7-tiny`, `cloformer-xxs`), path to a model YAML, or
            path to a `.pt` checkpoint.

    Raises:
        UserError: It does not exist, is not readable or is not a detection model.
    """
    path = Path(spec)
    if path.suffix == ".pt":
        if not path.is_file():
            raise UserError(
                f"base {spec}: no such checkpoint; give the path of an existing .pt file or a name such as yolov5n"
            )
        model, _ = read_checkpoint(path)
        config = in_one_scale(copy.deepcopy(model.yaml), spec)
        if width := class_width(model.model[-1]):
            config["class_width"] = width
        base = Base(name=path.name, config=config, checkpoint=path.absolute())
        base._with_weights(model)  # refused here, whatever it is wanted for
        return base
    return Base(name=path.stem if path.suffix else path.name, config=describe(spec))


# Names of a family's sizes, the smallest first, as they end the names of its models.
_SIZES = (("n", "s", "m", "l", "x"), ("t", "s", "m", "c", "e"), ("xxs", "xs", "s"))


def next_size(spec: str) -> Base:
    """Find the next larger model of a detector's family, such as yolov5s of yolov5n.

    Args:
        spec: A base's name, as for `resolve_base`.

    Raises:
        UserError: It is a file, whose family is not known; or there is no larger one.
    """
    if Path(spec).is_file():
        raise UserError(
            f"base {spec}: is a file, of which no larger size is known; --ruler needs a name such as yolov5n"
        )
    name = spec.removesuffix(".yaml")
    for small, large in (pair for sizes in _SIZES for pair in pairwise(sizes)):
        family = name.removesuffix(small)
        if family != name and family[-1:] in "0123456789-":
            with suppress(UserError):
                return resolve_base(family + large)
    raise UserError(f"base {spec}: no larger size of its family is known; --ruler needs one, as yolov5n has yolov5s")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file's mapping.

    Raises:
        UserError: It is not YAML, or not a mapping.
    """
    data = yaml_file.read_yaml(path).data
    if not isinstance(data, dict):
        raise UserError(f"{path}: holds no mapping; expected `key: value` lines")
    return data


def build(config: Description, classes: int | None = None) -> DetectionModel:
    """Build a detector from a model description.

    Raises:
        UserError: Ultralytics cannot build it, or it is not a detector.
    """
    config = copy.deepcopy(config)
    if config.get("scales"):
        config.setdefault("scale", next(iter(config["scales"])))
    try:
        with silence():
            model = DetectionModel(config, nc=classes, verbose=False)
    except BUILD_ERRORS as error:
        if lacks_memory(error):  # nothing is wrong with the description
            raise
        with silence():
            why = faulty_row(config, error)
        raise UserError(f"{config.get('yaml_file', 'model')}: cannot be built: {why}") from error
    return model


def read_checkpoint(path: Path) -> tuple[DetectionModel, dict[str, Any]]:
    """Read the network in a `.pt` file, and what else is in it; no code of the file's is run (see `checkpoints`).

    Raises:
        UserError: It is no checkpoint of a detector, or needs something that is not known to be a layer.
    """
    if why := fault_of_file(Path(path)):
        raise UserError(f"{path}: {why}")
    try:
        with silence():
            model, rest = load_checkpoint(path)
    except UserError:
        raise
    except Exception as error:  # pickle, zip and torch each have their own; all mean the same to a user
        raise UserError(f"{path}: {refused(path) or fault_of_content(path)}") from error
    if not isinstance(model, nn.Module) or not isinstance(getattr(model, "yaml", None), dict):
        raise UserError(f"{path}: holds no Ultralytics detection model")
    without_left_overs(model)
    return model, rest
