"""Base models: from a name, a YAML or a checkpoint to one concrete model description."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from torch import nn
from ultralytics.nn.tasks import DetectionModel, load_checkpoint, yaml_model_load
from ultralytics.utils import LOGGER

from harness.architecture import Architecture
from harness.detectors.cloformer import CLOFORMER_PREFIX, cloformer_config
from harness.errors import UserError

_OWN_YAMLS = Path(__file__).parent
"""Folder of the model YAMLs that Ultralytics lacks."""
_HEADS = frozenset({"Detect", "v10Detect"})
"""Heads of detectors that see the image alone."""
_NEED_TEXT = ("World", "YOLOE")
"""What the names of heads begin with that compare image features with embeddings of a text."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """A detector that blocks can be inserted into.

    Attributes:
        name: What the user called it, without folder.
        config: Ultralytics model description with exactly one entry under `scales`.
        checkpoint: Weights to start from, or None for random initialisation.
    """

    name: str
    config: dict[str, Any]
    checkpoint: Path | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Hash of description and weights: a file may change under its name."""
        described = {name: value for name, value in self.config.items() if name != "yaml_file"}
        digest = hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode())
        if self.checkpoint:
            digest.update(self.checkpoint.read_bytes())
        return digest.hexdigest()[:16]

    def build(self, classes: int | None = None) -> DetectionModel:
        """The network with random weights; `classes` overrides the description's number."""
        return build(self.config, classes)

    def load(self) -> DetectionModel:
        """The network with its checkpoint's weights, or random ones where it has none."""
        return _load_checkpoint(self.checkpoint) if self.checkpoint else self.build()


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
        model = _load_checkpoint(path)
        return Base(name=path.name, config=_single_scale(copy.deepcopy(model.yaml), spec), checkpoint=path.absolute())
    return Base(name=path.stem if path.suffix else path.name, config=_single_scale(_described(path, spec), spec))


def load_model(spec: str) -> DetectionModel:
    """Build any detector a person may name: model name, YAML, checkpoint or architecture file.

    Raises:
        UserError: Nothing can be built from it.
    """
    from harness.detectors.insert import insert

    path = Path(spec)
    if path.suffix in {".yaml", ".yml"} and path.is_file():
        data = read_yaml(path)
        if "placements" in data:
            architecture = Architecture.from_dict(data)
            return build(insert(resolve_base(architecture.base), architecture))
    return resolve_base(spec).load()


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file's mapping.

    Raises:
        UserError: It is not YAML, or not a mapping.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise UserError(f"{path}: holds no mapping; expected `key: value` lines")
    return data


def build(config: dict[str, Any], classes: int | None = None) -> DetectionModel:
    """Build a detector from a model description.

    Raises:
        UserError: Ultralytics cannot build it, or it is not a detector.
    """
    config = copy.deepcopy(config)
    if config.get("scales"):
        config.setdefault("scale", next(iter(config["scales"])))
    try:
        with _silence():
            model = DetectionModel(config, nc=classes, verbose=False)
    except (KeyError, TypeError, ValueError, RuntimeError, IndexError, AttributeError, AssertionError) as error:
        raise UserError(
            f"{config.get('yaml_file', 'model')}: cannot be built: {type(error).__name__}: {error}"
        ) from error
    return model


@contextmanager
def _silence() -> Iterator[None]:
    """Without Ultralytics' remarks on every model it builds; errors still come through."""
    level = LOGGER.level
    LOGGER.setLevel("ERROR")
    try:
        yield
    finally:
        LOGGER.setLevel(level)


def _load_checkpoint(path: Path) -> DetectionModel:
    try:
        with _silence():
            model, _ = load_checkpoint(path)
    except Exception as error:  # pickle, zip and torch each have their own; all mean the same to a user
        raise UserError(
            f"{path}: not a loadable checkpoint ({type(error).__name__}: {str(error).splitlines()[0]})"
        ) from error
    if not isinstance(model, nn.Module) or not isinstance(getattr(model, "yaml", None), dict):
        raise UserError(f"{path}: holds no Ultralytics detection model")
    return model


def _described(path: Path, spec: str) -> dict[str, Any]:
    """The description in a file, under one of our names, or under one of Ultralytics'; in this order."""
    name = path.name if path.suffix in {".yaml", ".yml"} else f"{path.name}.yaml"
    own = _OWN_YAMLS / name
    if not path.is_file() and name.startswith(CLOFORMER_PREFIX):
        return cloformer_config(Path(name).stem.removeprefix(CLOFORMER_PREFIX))
    try:
        with _silence():
            config: dict[str, Any] = yaml_model_load(path if path.is_file() else own if own.is_file() else name)
    except FileNotFoundError as error:
        raise UserError(
            f"base {spec}: no such model; give a name such as yolov5n or yolov8s, a YAML or a .pt file"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise UserError(f"base {spec}: not a readable model YAML ({str(error).splitlines()[0]})") from error
    return config


def _single_scale(config: dict[str, Any], spec: str) -> dict[str, Any]:
    """Keep the scale in use only, so that the description means one network whatever its file is called."""
    _check_head(_rows(config, spec), spec)
    scales = config.get("scales")
    if scales:
        scale = config.get("scale") or next(iter(scales))
        if scale not in scales:
            raise UserError(f"base {spec}: has no scale '{scale}'; it has {', '.join(scales)}")
        config["scales"] = {scale: scales[scale]}
        config["scale"] = scale
    return config


def _rows(config: dict[str, Any], spec: str) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for section in ("backbone", "head"):
        given = config.get(section)
        if not isinstance(given, list) or not all(isinstance(row, list) and len(row) == 4 for row in given):
            raise UserError(
                f"base {spec}: no model description, since its '{section}' is not a list of rows "
                "[from, repeats, module, args]"
            )
        rows += given
    return rows


def _check_head(rows: list[list[Any]], spec: str) -> None:
    head = str(rows[-1][2]) if rows else "nothing"
    if head.startswith(_NEED_TEXT):
        raise UserError(
            f"base {spec}: ends in {head}, which takes embeddings of a text beside the image; "
            "only detectors that take the image alone can be searched"
        )
    if head not in _HEADS:
        raise UserError(f"base {spec}: ends in {head}, not in a Detect head; only detection models can be searched")
