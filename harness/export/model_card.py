"""The card of an exported model: what it is, trained on what, measured how, under which licence, and what isn't known.

The headings are those of Hugging Face's model cards [1], and so is the block at the top, which their site reads.

References:
    1. Mitchell et al., "Model cards for model reporting", FAT* 2019.
"""

from __future__ import annotations

import pandas as pd

from harness.architecture import BASELINE
from harness.export.card import commands, data_name, data_pairs, evaluation, training
from harness.export.exported import Exported, Form
from harness.record.study import StudyRecord
from harness.report import words
from harness.report.notes import Pairs, device
from harness.report.page import Page, Section
from harness.report.renderers import render_markdown

_FRONT = """\
---
license: agpl-3.0
library_name: {library}
pipeline_tag: object-detection
tags: [clo-nas, cloformer, object-detection]
---

"""
_OUTPUT = (
    "a column each detection: centre x, y, width, height in pixels, then a score a class; overlapping ones are not "
    "suppressed"
)
_HEADS = (
    "It has a one-to-one head (end2end: true in its description) beside the one-to-many head. As Ultralytics does by "
    "default, its mAP was measured, and outputs here are, of the one-to-many head: overlapping detections are still to "
    "be suppressed. An ONNX file holds that head alone."
)
_DATA_LICENCES = {
    "digits": "CC BY 4.0: composed from the UCI optical recognition of handwritten digits, which scikit-learn ships",
}


def model_card(record: StudyRecord, exported: Exported) -> str:
    """Render the card as Markdown; whatever comes from the study is escaped."""
    page = Page(
        name=exported.identity,
        kind="Model card:",
        headline=f"A detector: {described(record, exported.identity)}.",
        lead=_lead(record, exported),
        sections=(
            Section(
                title="Model details", key="details", sentences=_blocks(record, exported), pairs=_cost(record, exported)
            ),
            Section(title="How to use it", key="use", sentences=_use(exported), commands=_use_commands(exported)),
            Section(title="Training", key="training", sentences=training(record, exported), pairs=data_pairs(record)),
            Section(title="Evaluation", key="evaluation", pairs=evaluation(record, exported)),
            Section(title="What is not known", key="unknown", sentences=_unknown(record, exported)),
            Section(title="Licence", key="licence", pairs=_licences(record)),
            Section(title="How to reproduce it", key="reproduce", commands=commands(record, exported)),
        ),
    )
    front = _FRONT.format(library="onnx" if exported.form is Form.ONNX else "ultralytics")
    return front + render_markdown(page)


def described(record: StudyRecord, identity: str) -> str:
    """Describe base and blocks in a line; an ablation's arm that is no architecture goes by its name there."""
    known = record.architectures.get(identity)
    base = str(known.base if known else record.settings.base or "base not recorded")
    if identity == BASELINE:
        return f"{base}, unmodified, the baseline"
    arms = {arm.identity: arm.name for arm in record.arms}
    if known is None or known.is_baseline:
        return f"{base}, {arms.get(identity, 'changed')}"
    return f"{base} with {known.describe()}"


def _lead(record: StudyRecord, exported: Exported) -> str:
    weights = exported.weights
    what = (
        "Not trained: a description, to be trained."
        if weights is None
        else f"Trained for {words.count(weights.epochs, 'epoch')}."
    )
    return f"From the study {record.name} of clo-nas on {data_name(record)}. {what}"


def _blocks(record: StudyRecord, exported: Exported) -> tuple[str, ...]:
    known = record.architectures.get(exported.identity)
    return tuple(placement.describe() for placement in known.placements) if known else ()


def _cost(record: StudyRecord, exported: Exported) -> Pairs:
    """List exact counts, and what goes in and comes out."""
    rows = record.trials[record.trials["architecture"] == exported.identity]
    side = record.settings.imgsz or exported.imgsz
    image = f"one image of {side} × {side}"
    return (
        ("Parameters", _count(rows["params"])),
        (f"MACs, {image}", _count(rows["macs"])),
        (f"FLOPs, {image}", _count(rows["flops"])),
        ("Input", f"{_shape(exported.input_shape)}: RGB, 0 to 1, edges padded with 114/255"),
        ("Output", f"{_shape(exported.output_shape)}: {_OUTPUT}"),
        *((("ONNX", f"opset {exported.opset}, this input shape alone, float32"),) if exported.opset else ()),
        ("Checked", _checked(exported)),
    )


def _count(values: pd.Series[float]) -> str:
    known = values.dropna()
    return f"{known.iloc[0]:,.0f}" if len(known) else words.DASH


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _checked(exported: Exported) -> str:
    given = "" if exported.weights else " and its model given fixed weights"
    same = f"{'train.py' if exported.form is Form.STANDALONE else 'load.py'} was run in a fresh process{given}"
    return (
        f"{same} ({exported.engine}): on one fixed image its output and that, in PyTorch, of the model that was "
        f"written are {exported.agreement} (largest absolute difference of boxes in pixels and scores)"
    )


def _use(exported: Exported) -> tuple[str, ...]:
    files = f"Files: {', '.join(exported.files)}."
    own = (
        (f"Blocks of somebody's own are in {', '.join(exported.block_files)}, which loading imports: read them first.",)
        if exported.block_files
        else ()
    )
    pickled = ("The .pt file is a pickle, as all of Ultralytics' are: load it only if you trust where it comes from.",)
    heads = (_HEADS,) if exported.has_unused_head else ()
    return (files, *own, *heads, *(pickled if exported.has_pickle else ()))


def _use_commands(exported: Exported) -> Pairs:
    if exported.form is Form.ONNX:
        return (
            ("Needs no clo-nas", "pip install onnxruntime pillow"),
            ("The surest detections of an image", "python load.py IMAGE"),
            ("With Ultralytics, overlaps suppressed", f"yolo predict model={exported.identity}.onnx source=IMAGE"),
        )
    if exported.form is Form.STANDALONE:
        return (
            ("Needs no clo-nas", "pip install ultralytics"),
            ("Train it", "python train.py your.yaml"),
            ("In a program of your own", "import clo_block; clo_block.register()"),
        )
    needs = ("Needs clo-nas, in a clone of it", "pip install .")
    if exported.form is Form.PT:
        return (needs, ("The detections of an image", "python load.py IMAGE"))
    return (
        needs,
        ("What the model is", "python load.py"),
        ("Train it", f"clo train {exported.identity}.yaml --data your.yaml --imgsz {exported.imgsz}"),
    )


def _unknown(record: StudyRecord, exported: Exported) -> tuple[str, ...]:
    return (
        f"How it does on other data: it was measured on the validation images of {data_name(record)} alone. These also "
        "judged the search that proposed it; no test set was kept apart.",
        f"How fast it is elsewhere: latency is of one device ({device(record)}), and of no other.",
        f"How it does at another image size than {record.settings.imgsz or exported.imgsz} px.",
        "Intervals hold the scatter of training between seeds, not that of another sample of images.",
        "Nobody looked for biases, adversarial images or what it does on images without objects.",
    )


def _licences(record: StudyRecord) -> Pairs:
    data = record.settings.data or ""
    return (
        ("Model and code", "AGPL-3.0-or-later, as clo-nas and Ultralytics, whose code it is made of"),
        (
            f"Data, {data_name(record)}",
            _DATA_LICENCES.get(
                data, "not known to clo-nas; ask whoever gave you the data what a model of them may be used for"
            ),
        ),
    )
