"""Model descriptions: from a name or a file to one that means exactly one network and can be searched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from ultralytics.nn.tasks import yaml_model_load
from ultralytics.utils import LOGGER

from harness.common.errors import UserError
from harness.common.yaml_file import MOST_BYTES, parse_yaml
from harness.detectors.checkpoints import BLOCK_FILES
from harness.detectors.cloformer import CLOFORMER_PREFIX, cloformer_config
from harness.detectors.forks import in_our_form
from harness.detectors.model_yaml import Description

# Folder of the model YAMLs that Ultralytics lacks.
_OWN_YAMLS = Path(__file__).parent
# Channels of an image: data, measurements and trainings here have no others.
_COLOURS = 3
# Heads of detectors that see the image alone.
_HEADS = frozenset({"Detect", "v10Detect"})
# What the names of heads begin with that compare image features with embeddings of a text.
_NEED_TEXT = ("World", "YOLOE")


def describe(spec: str) -> Description:
    """Read the description in a file, under one of our names, or under one of Ultralytics'; in this order.

    Args:
        spec: Name, with or without `.yaml`, or path.

    Returns:
        Ultralytics' form, with at most one entry under `scales`.

    Raises:
        UserError: There is none, it is not readable, or it is not of a detector that can be searched.
    """
    path = Path(spec)
    name = path.name if path.suffix in {".yaml", ".yml"} else f"{path.name}.yaml"
    is_file = path.suffix in {".yaml", ".yml"} and path.is_file()
    if not is_file and name.startswith(CLOFORMER_PREFIX):
        return cloformer_config(Path(name).stem.removeprefix(CLOFORMER_PREFIX))
    own = _OWN_YAMLS / name
    try:
        if is_file:
            parse_yaml(
                path.read_bytes()[: MOST_BYTES + 4].decode("utf-8-sig", errors="ignore")
            )  # Ultralytics has no bounds
        with silence():
            config = yaml_model_load(path if is_file else own if own.is_file() else name)
    except FileNotFoundError as error:
        raise UserError(
            f"base {spec}: no such model; give a name such as yolov5n or yolov8s, a YAML or a .pt file"
        ) from error
    except (ValueError, AttributeError, TypeError) as error:  # Ultralytics makes a ValueError of a YAMLError
        reason, _, _ = " ".join(str(error).split()).partition(" Verify YAML with")
        raise UserError(f"base {spec}: not a readable model YAML ({reason})") from error
    if files := config.get(BLOCK_FILES):
        if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
            raise UserError(f"base {spec}: its '{BLOCK_FILES}' is {files!r}; expected a list of files, [my_blocks.py]")
        config[BLOCK_FILES] = [str(path.absolute().parent / file) for file in files]
    return in_our_form(in_one_scale(config, spec), spec) if is_file else in_one_scale(config, spec)


def in_one_scale(config: dict[str, Any], spec: str) -> Description:
    """Keep the scale in use only, so that the description means one network whatever its file is called.

    Args:
        config: As a file or a checkpoint has it; changed.
        spec: What the user gave, for messages.

    Raises:
        UserError: The scale does not exist, or the description is not of a detector that can be searched.
    """
    _check_head(_rows(config, spec), spec)
    channels = config.get("channels", config.get("ch", _COLOURS))
    if channels != _COLOURS:
        raise UserError(
            f"base {spec}: takes images of {channels} channel{'s' * (channels != 1)}; "
            f"a model here takes colour images, {_COLOURS} channels"
        )
    scales = config.get("scales")
    if scales:
        if not isinstance(scales, dict):
            raise UserError(f"base {spec}: its 'scales' is {scales!r}; expected {{n: [depth, width, max_channels]}}")
        scale = config.get("scale") or next(iter(scales))
        if scale not in scales:
            raise UserError(f"base {spec}: has no scale '{scale}'; it has {', '.join(map(str, scales))}")
        config["scales"] = {scale: scales[scale]}
        config["scale"] = scale
    return cast(Description, config)


@contextmanager
def silence() -> Iterator[None]:
    """Silence Ultralytics' remarks on every model it reads or builds; errors still come through."""
    level = LOGGER.level
    LOGGER.setLevel("ERROR")
    try:
        yield
    finally:
        LOGGER.setLevel(level)


def _rows(config: dict[str, Any], spec: str) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for section in ("backbone", "head"):
        given = config.get(section)
        if not isinstance(given, list) or not all(isinstance(row, list) and len(row) == 4 for row in given):
            raise UserError(
                f"base {spec}: not a model description, since its '{section}' is not a list of rows "
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
