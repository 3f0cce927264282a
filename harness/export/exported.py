"""What an export is, as data, which needs no torch; and the ten lines that load it, `load.py` beside the model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Form(StrEnum):
    """What of an architecture is taken home; each but the last is a folder with a card and a script."""

    # The model, to be trained.
    YAML = "yaml"
    # With trained weights, for Ultralytics.
    PT = "pt"
    # With trained weights, for ONNX Runtime.
    ONNX = "onnx"
    # For stock Ultralytics without clo-nas: the blocks as one file, the model, its weights where it has some.
    STANDALONE = "standalone"
    # Base and placements: one file that `clo` takes as a MODEL.
    ARCHITECTURE = "architecture"

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
    def has_pickle(self) -> bool:
        """Whether there is a checkpoint of torch's among the files."""
        return f"{self.identity}.pt" in self.files

    @property
    def agreement(self) -> str:
        """How near the outputs are, for a sentence."""
        return f"equal to within {self.max_difference:.2g}" if self.max_difference else "identical"


_YAML = '''"""{name}, to be trained: python load.py says what it is. Needs clo-nas, which has its blocks."""

from pathlib import Path

import harness  # noqa: F401
from ultralytics import YOLO

model = YOLO(Path(__file__).with_name("{name}.yaml"))
if __name__ == "__main__":
    model.info()  # model.train(data="your.yaml", imgsz={imgsz}) trains it
'''

_PT = '''"""{name}, trained: python load.py IMAGE says what it sees. Needs clo-nas, which has its blocks."""

import sys
from pathlib import Path

{imports}
from ultralytics import YOLO

ensure_torchvision()  # where PyPI's build stands beside another torch
{blocks}model = YOLO(Path(__file__).with_name("{name}.pt"))
if __name__ == "__main__":
    for found in model.predict(sys.argv[1:], imgsz={imgsz}, verbose=False):
        print(found.path, *found.summary(), sep="\\n")
'''

_ONNX = '''"""{name}, trained: python load.py IMAGE says what it sees. Needs onnxruntime and pillow, and not clo-nas."""

import ast
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession(Path(__file__).with_name("{name}.onnx"), providers=["CPUExecutionProvider"])
names = ast.literal_eval(session.get_modelmeta().custom_metadata_map["names"])
for path in sys.argv[1:] if __name__ == "__main__" else ():
    image = ImageOps.pad(Image.open(path).convert("RGB"), ({imgsz}, {imgsz}), color=(114, 114, 114))
    pixels = np.asarray(image, np.float32).transpose(2, 0, 1)[None] / 255
    [[found]] = session.run(None, {{"images": pixels}})
    for x, y, w, h, *scores in found[:, found[4:].max(0).argsort()[::-1][:5]].T:  # centres of the surest
        print(names[int(np.argmax(scores))], f"{{max(scores):.3f}}, x {{x:.1f}} y {{y:.1f}} w {{w:.1f}} h {{h:.1f}}")
'''


_STANDALONE = '''"""{name}: python train.py your.yaml trains it with stock Ultralytics. Needs no clo-nas."""

import sys
from pathlib import Path

import clo_block
from ultralytics import YOLO

clo_block.register()
model = YOLO(Path(__file__).with_name("{file}"))
if __name__ == "__main__":
    model.train(data=sys.argv[1], imgsz={imgsz}, epochs=int(sys.argv[2]) if sys.argv[2:] else 100)
'''


def load_script(
    form: Form, name: str, imgsz: int, block_files: tuple[str, ...] = (), *, has_weights: bool = False
) -> str:
    """Render the script's text.

    Args:
        form: Not `Form.ARCHITECTURE`, which is one file.
        name: Of the model's file, without its suffix; it can name a file.
        imgsz: Side of the square input, in pixels.
        block_files: Names of files beside it that have to be imported before a checkpoint can be read.
        has_weights: Whether a standalone model has a checkpoint beside its description.
    """
    if form is Form.YAML:
        return _YAML.format(name=name, imgsz=imgsz)
    if form is Form.STANDALONE:
        return _STANDALONE.format(name=name, imgsz=imgsz, file=f"{name}.{'pt' if has_weights else 'yaml'}")
    if form is Form.ONNX:
        return _ONNX.format(name=name, imgsz=imgsz)
    imports = "from harness.training.torchvision_compat import ensure_torchvision"
    if block_files:
        imports = f"from harness.blocks import import_block_file\n{imports}"
    blocks = "".join(f"import_block_file(Path(__file__).with_name({file!r}))\n" for file in block_files)
    return _PT.format(name=name, imgsz=imgsz, imports=imports, blocks=blocks)
