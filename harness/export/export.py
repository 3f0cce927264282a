"""Taking an architecture of a study home: a folder that loads by itself, and was checked before it is there.

Of a study's checkpoints one goes along: the one with the most epochs, and of its seeds the first: the best of several
seeds would be chosen by the validation images that judge it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import yaml
from torch import nn

from harness.ablation.loop import weights_path
from harness.blocks import BlockError
from harness.common.digest import file_digest
from harness.common.errors import UserError
from harness.common.yaml_file import parse_yaml
from harness.cost.ledger import deployed
from harness.detectors import build, import_block_files, read_checkpoint
from harness.detectors.checkpoints import BLOCK_FILES
from harness.detectors.model_yaml import Description
from harness.export.exported import Exported, Form, TrainedWeights, load_script
from harness.export.fresh_process import fill, fixed_image
from harness.export.standalone import FILE, imported, standalone_layers, standalone_network, standalone_source
from harness.export.verify import compare_in_fresh_process
from harness.latency.onnx_file import OPSET, onnx_file, onnxruntime_for
from harness.record.form import SAFE_NAME, check_block_files
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.training.accuracy import save_checkpoint


def trained_weights(record: StudyRecord, folder: Path, identity: str) -> TrainedWeights | None:
    """Find the checkpoint of an architecture's longest training, and of its seeds the first; None where there is none.

    Args:
        record: The study; a file of no complete training of it does not count.
        folder: The study's.
        identity: The architecture's.
    """
    rows = record.trials[(record.trials.architecture == identity) & (record.trials.state == State.COMPLETE)]
    keys = {(int(e), int(b), int(s)) for e, b, s in zip(rows.epochs, rows.base_seed, rows.seed, strict=True)}
    kept = [
        TrainedWeights(path=path, epochs=epochs, base_seed=base_seed, seed=seed)
        for epochs, base_seed, seed in keys
        if (path := weights_path(folder, identity, base_seed, seed, epochs)).is_file()
    ]
    return min(kept, key=lambda found: (-found.epochs, found.base_seed, found.seed), default=None)


CARD, SCRIPT, TRAIN = "README.md", "load.py", "train.py"


@dataclass(frozen=True, kw_only=True)
class Export:
    """An export that can be written: everything was found and fits together.

    Attributes:
        identity: The architecture's; it can name a file.
        network: Built from the YAML, in eval mode, with the trained weights or those of `fill`.
        yaml: The model description; names of block files are relative to it.
        block_files: Where they lie now.
        imgsz: Side of the square input, in pixels.
        weights: The checkpoint whose weights the network has; None where none go along.
        layers: Of a standalone export, the names of its layers that Ultralytics lacks.
    """

    identity: str
    form: Form
    network: nn.Module
    yaml: str
    block_files: tuple[Path, ...]
    imgsz: int
    weights: TrainedWeights | None
    layers: tuple[str, ...] = ()


def known_architecture(record: StudyRecord, identity: str) -> None:
    """Refuse an architecture that the study does not have.

    Raises:
        UserError: It has none of that name, or the name cannot be a file's.
    """
    if identity not in record.model_yamls:
        known = ", ".join(record.model_yamls) or "none"
        raise UserError(f"study {record.name} has no architecture '{identity}'; it has {known}")
    if not SAFE_NAME.fullmatch(identity):
        raise UserError(f"study {record.name}: its architecture {identity!r} cannot name a file")


def prepare_export(record: StudyRecord, folder: Path, identity: str, form: Form) -> Export:
    """Find what is exported, and build it.

    Args:
        record: The study.
        folder: The study's.
        identity: The architecture's.
        form: Not `Form.ARCHITECTURE`, which is one file.

    Raises:
        UserError: The study has no such architecture or no weights of it, its block files have changed, or the model
            cannot be built.
    """
    known_architecture(record, identity)
    if form is Form.ONNX:
        onnxruntime_for(f"export {record.name} {identity}: --to onnx")
    takes = form.has_weights or form is Form.STANDALONE
    weights = trained_weights(record, folder, identity) if takes else None
    if form.has_weights and weights is None:
        raise UserError(
            f"study {record.name} has no trained weights of {identity}, whose short trainings kept none; run "
            f"`clo train {record.name} {identity}` first"
        )
    try:
        config = parse_yaml(record.model_yamls[identity]).data
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"study {record.name}: what it has of {identity} is not readable as YAML: {reason}") from error
    if not isinstance(config, dict) or not {"backbone", "head"} <= set(config):
        raise UserError(f"study {record.name}: what it has of {identity} is no model description")
    description = cast(Description, config)
    layers = standalone_layers(description, f"{record.name} {identity}") if form is Form.STANDALONE else ()
    check_block_files(record.name, description.get(BLOCK_FILES) or (), folder)
    files = _block_files(record, description)
    network = build(description)
    if weights is None:
        fill(network)
    else:
        _load(network, weights)
    return Export(
        identity=identity,
        form=form,
        network=network.eval(),
        yaml=_portable(record.model_yamls[identity], files),
        block_files=files,
        imgsz=record.settings.imgsz or 640,
        weights=weights,
        layers=layers,
    )


def check_replaceable(export: Export, target: Path) -> None:
    """Refuse to replace a folder that holds more than an earlier export: nobody else's file is lost.

    Raises:
        UserError: It does, or it is no folder.
    """
    if not target.exists():
        return
    if not target.is_dir():
        raise UserError(f"--out {target}: is a file; name a folder")
    ours = {CARD, SCRIPT, TRAIN, FILE, "__pycache__", *(f"{export.identity}.{form}" for form in Form)}
    ours |= {file.name for file in export.block_files}
    if others := sorted({path.name for path in target.iterdir()} - ours):
        raise UserError(
            f"{target}: holds {others[0]}, which is not of an export of {export.identity}, and the folder would be "
            "replaced whole; name another one with --out"
        )


def write_export(export: Export, folder: Path) -> Exported:
    """Fill a folder with everything but the card, load it in a fresh process and compare.

    Raises:
        UserError: What was written does not load, or says something else than the model here.
    """
    name = export.identity
    block_files = tuple(file.name for file in export.block_files)
    is_standalone = export.form is Form.STANDALONE
    text = export.yaml.replace("needs `import harness`", f"needs {FILE}") if is_standalone else export.yaml
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    for file in export.block_files:
        shutil.copyfile(file, folder / file.name)
    script = load_script(export.form, name, export.imgsz, block_files, has_weights=export.weights is not None)
    (folder / (TRAIN if is_standalone else SCRIPT)).write_text(script, encoding="utf-8")
    if is_standalone:
        _write_standalone(export, folder)
    elif export.form is Form.PT:
        export.network.yaml |= {BLOCK_FILES: [*block_files]} if block_files else {}  # type: ignore[operator]
        save_checkpoint(export.network, folder / f"{name}.pt")
    elif export.form is Form.ONNX:
        (folder / f"{name}.onnx").write_bytes(_onnx(export))
    compared = compare_in_fresh_process(export.network, folder, export.imgsz, export.form)
    return Exported(
        form=export.form,
        identity=name,
        imgsz=export.imgsz,
        files=tuple(sorted([CARD, *(path.name for path in folder.iterdir() if path.is_file())])),
        block_files=block_files,
        weights=export.weights,
        input_shape=(1, 3, export.imgsz, export.imgsz),
        output_shape=compared.output_shape,
        opset=OPSET if export.form is Form.ONNX else None,
        engine=compared.engine,
        max_difference=compared.max_difference,
        has_unused_head=_has_unused_head(export.network),
    )


def _write_standalone(export: Export, folder: Path) -> None:
    """Write the blocks, and a checkpoint of theirs where there are weights."""
    description: Any = export.network.yaml
    source = standalone_source(export.layers, class_width="class_width" in description)
    (folder / FILE).write_text(source, encoding="utf-8")
    if export.weights is not None:
        with imported(folder / FILE):
            save_checkpoint(standalone_network(export.network), folder / f"{export.identity}.pt")


def _has_unused_head(network: Any) -> bool:
    """Return whether a network has a one-to-one head that Ultralytics trains, but does not validate or run."""
    return getattr(network.model[-1], "one2one_cv2", None) is not None and not network.end2end


def _load(network: nn.Module, weights: TrainedWeights) -> None:
    """Put a checkpoint's weights and class names into the network of the study's own description."""
    found, _ = read_checkpoint(weights.path)
    try:
        network.load_state_dict(found.state_dict())
    except RuntimeError as error:
        raise UserError(f"{weights.path}: holds the weights of another model than the study's") from error
    network.names = found.names


def _block_files(record: StudyRecord, config: Description) -> tuple[Path, ...]:
    """Import a user's own blocks and return their files, which must be as the study had them."""
    files = tuple(Path(file) for file in config.get(BLOCK_FILES) or ())
    known: Mapping[str, str] = record.settings.block_files or {}
    try:
        import_block_files(config)  # before a checkpoint that holds their classes is read
        for file in files:
            digest = file_digest(file)[:16]
            if known.get(file.name, digest) != digest:
                raise UserError(f"{file}: has changed since study {record.name} searched with it; restore it")
    except BlockError as error:
        raise UserError(f"study {record.name}: {error}") from error
    return files


def _portable(text: str, files: tuple[Path, ...]) -> str:
    """Return the description with the names of block files alone, which lie beside it."""
    if not files:
        return text
    row = f"{BLOCK_FILES}: {yaml.safe_dump([file.name for file in files], default_flow_style=True, width=10_000)}"
    return re.sub(rf"^{BLOCK_FILES}:.*\n", lambda _: row, text, flags=re.MULTILINE)


def _onnx(export: Export) -> bytes:
    """Build the file, with the properties by which Ultralytics, too, knows how to run it."""
    network: Any = export.network
    properties = {
        "description": f"{export.identity}, made by clo-nas",
        "license": "AGPL-3.0-or-later",
        "stride": int(network.stride.max()),
        "task": "detect",
        "batch": 1,
        "imgsz": [export.imgsz, export.imgsz],
        "names": network.names,
        "channels": 3,
        "end2end": network.end2end,
    }
    try:
        return onnx_file(deployed(network), torch.from_numpy(fixed_image(export.imgsz)), properties)
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"export {export.identity}: torch cannot write it as ONNX: {reason}") from error
