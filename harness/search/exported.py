"""What an export is, as data: reading it needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Form(StrEnum):
    """What of an architecture is taken home; each but the last is a folder with a card and a script."""

    YAML = "yaml"
    """The model, to be trained."""
    PT = "pt"
    """With trained weights, for Ultralytics."""
    ONNX = "onnx"
    """With trained weights, for ONNX Runtime."""
    ARCHITECTURE = "architecture"
    """Base and placements: one file that `clo` takes as a MODEL."""

    @property
    def has_weights(self) -> bool:
        """Whether trained weights go along."""
        return self in {Form.PT, Form.ONNX}


@dataclass(frozen=True, kw_only=True)
class TrainedWeights:
    """One checkpoint of a study.

    Attributes:
        path: Where it lies.
        epochs: Of its training.
        base_seed: Of the base that it started from.
        seed: Of its training.
    """

    path: Path
    epochs: int
    base_seed: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written, and how it was checked.

    Attributes:
        identity: The architecture's.
        imgsz: Side of the square input, in pixels.
        files: Names in the folder, the card included.
        block_files: Those of them that register blocks of a user's own.
        weights: Whose weights went along; None where none did.
        input_shape: (batch, channels, height, width) that was checked, and that an ONNX file takes alone.
        output_shape: Of the decoded detections.
        opset: Of the ONNX file; None where there is none.
        engine: Name and version of what ran the written files.
        max_difference: Largest absolute difference between outputs of the files, run in a fresh process, and those of
            the model in the process that wrote them: boxes in pixels, scores 0 to 1.
        has_unused_head: Whether the model has a one-to-one head beside the one-to-many head that its outputs are of.
    """

    form: Form
    identity: str
    imgsz: int
    files: tuple[str, ...]
    block_files: tuple[str, ...] = ()
    weights: TrainedWeights | None = None
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    opset: int | None = None
    engine: str
    max_difference: float
    has_unused_head: bool = False

    @property
    def agreement(self) -> str:
        """How near the outputs are, for a sentence."""
        return f"equal to within {self.max_difference:.2g}" if self.max_difference else "identical"
