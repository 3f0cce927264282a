"""The ten lines that load an export: what is written as `load.py` beside the model."""

from __future__ import annotations

from harness.search.exported import Form

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


def load_script(form: Form, name: str, imgsz: int, block_files: tuple[str, ...] = ()) -> str:
    """The script's text.

    Args:
        form: Not `Form.ARCHITECTURE`, which is one file.
        name: Of the model's file, without its suffix; it can name a file.
        imgsz: Side of the square input, in pixels.
        block_files: Names of files beside it that have to be imported before a checkpoint can be read.
    """
    if form is Form.YAML:
        return _YAML.format(name=name, imgsz=imgsz)
    if form is Form.ONNX:
        return _ONNX.format(name=name, imgsz=imgsz)
    imports = "from harness.torchvision_compat import ensure_torchvision"
    if block_files:
        imports = f"from harness.blocks import import_block_file\n{imports}"
    blocks = "".join(f"import_block_file(Path(__file__).with_name({file!r}))\n" for file in block_files)
    return _PT.format(name=name, imgsz=imgsz, imports=imports, blocks=blocks)
