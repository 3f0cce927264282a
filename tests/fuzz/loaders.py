"""Every file that a person may hand to the program, and what reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from hypothesis import strategies as st
from PIL import Image

from harness.ablation.fidelity_plan import load_plan
from harness.architecture import Architecture
from harness.architecture.choices import FeedForward, Gate, Init, Kind, Mode, Operator
from harness.claims.pooled import judge_results, read_results
from harness.common.resources import search_space_folder
from harness.data.check import check_dataset
from harness.data.coco_file import read_coco
from harness.detectors import Base, Site, find_sites, insert, map_sizes, mode_channels, read_architecture, resolve_base
from harness.record.ablation_file import load_ablation
from harness.record.settings import search_settings
from harness.search.table import read_table
from harness.space import SearchSpace, load_space
from tests.claims.results import ARMS, result
from tests.fuzz.documents import files, flow, spoilt

Run = Callable[[Any, Path], object]
"""Has the program take a case, with a folder of its own; raises `UserError` where it is refused."""


class Fuzzed(NamedTuple):
    """One kind of input.

    Attributes:
        cases: What is generated.
        run: What takes it.
        share: Of all cases of a whole run, in thousandths.
    """

    cases: st.SearchStrategy[Any]
    run: Run
    share: int


WORDS = (*Kind, *Mode, *Init, *Operator, *Gate, *FeedForward, "se", "cbam", "neck.P4", "backbone.SPPF", "all", "3")


@cache
def base() -> Base:
    return resolve_base("yolov5n")


@cache
def sites() -> dict[str, Site]:
    return find_sites(base())


def _shipped(folder: str = "") -> tuple[Any, ...]:
    return tuple(
        yaml.safe_load(file.read_text(encoding="utf-8"))
        for file in sorted((search_space_folder() / folder).glob("*.yaml"))
    )


def _written(name: str, read: Callable[[Path], object]) -> Run:
    """Puts the case into a file first."""

    def run(content: bytes, folder: Path) -> object:
        path = folder / name
        path.write_bytes(content)
        return read(path)

    return run


def _space(path: Path) -> object:
    file = load_space(str(path))
    space = SearchSpace(file, base="yolov5n", channels=mode_channels(sites()), maps=map_sizes(sites(), 128))
    return space.size


ARCHITECTURES: tuple[Any, ...] = (
    {"base": "yolov5n", "placements": []},
    {
        "base": "yolov5n",
        "placements": [
            {
                "site": "neck.P4", "kind": "block", "groups": [[3, 2], [5, 2]], "global_heads": 4, "kv_pool": 2,
                "ffn_ratio": 2.0, "ffn_kernel": 5, "mode": "inside", "operator": "window", "gate": "tanh",
            },
            {"site": "backbone.P3", "kind": "cbam", "options": {"ratio": 4}},
        ],
    },
)  # fmt: skip


def _architecture(path: Path) -> object:
    found = read_architecture(str(path))
    if found is None or found.base != "yolov5n":
        return found
    Architecture.from_dict(found.to_dict())
    return insert(base(), found, sites=sites(), classes=2)


def _dataset(content: bytes, folder: Path) -> object:
    for split in ("train", "val"):
        _image(folder / "images" / split / "0.png")
        (folder / "labels" / split).mkdir(parents=True, exist_ok=True)
        (folder / "labels" / split / "0.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (folder / "data.yaml").write_bytes(content)
    return check_dataset(str(folder / "data.yaml"), 64, cache=folder / "cache")


def _labels(content: bytes, folder: Path) -> object:
    for split in ("train", "val"):
        _image(folder / "images" / split / "0.png")
        (folder / "labels" / split).mkdir(parents=True, exist_ok=True)
        (folder / "labels" / split / "0.txt").write_bytes(content)
    (folder / "data.yaml").write_text(flow(DATASETS[0]))
    return check_dataset(str(folder / "data.yaml"), 64, cache=folder / "cache")


def _image(path: Path) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((32, 32, 3), "val" in path.parts, np.uint8)).save(path)


DATASETS: tuple[Any, ...] = (
    {"train": "images/train", "val": "images/val", "names": ["cat", "dog"]},
    {"train": ["images/train"], "val": "images/val", "nc": 2, "names": {0: "cat", 1: "dog"}, "channels": 3},
    {"path": "", "train": "images/train", "validation": "images/val", "nc": 2, "download": "https://example.org/x.zip"},
)
COCO = {
    "info": {"year": 2026},
    "images": [{"id": 1, "file_name": "0.png", "width": 32, "height": 32, "license": 1}],
    "categories": [{"id": 1, "name": "cat", "supercategory": "animal"}, {"id": 2, "name": "dog"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10.5, 12], "area": 100, "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "area": 12.0, "segmentation": [[1, 2, 3]]},
    ],
}


def _coco(content: bytes, folder: Path) -> object:
    annotations = folder / "annotations"
    for split in ("train", "val"):
        _image(folder / split / "0.png")
    annotations.mkdir(exist_ok=True)
    (annotations / "instances_train.json").write_bytes(content)
    (annotations / "instances_val.json").write_text(json.dumps(COCO))
    read_coco(annotations / "instances_train.json", content, areas=True)
    return check_dataset(str(folder), 64, cache=folder / "cache")


CELLS = (
    "0.5",
    "1",
    "-1",
    "0",
    "nan",
    "inf",
    "-inf",
    "1e400",
    "",
    "x",
    "True",
    '"a,b"',
    '"',
    "1_000",
    "é",
    "\0",
    "9" * 400,
)
COLUMNS = ("a", "b", "map", "cost", "seed", "index", "", "accuracy", "Unnamed: 0")


@st.composite
def tables(draw: st.DrawFn) -> tuple[bytes, list[str], str, str]:
    """A CSV, and columns that are asked for."""
    usual = st.just(["a", "b", "map", "cost"])
    names = draw(st.one_of(usual, usual, st.lists(st.sampled_from(COLUMNS), max_size=6)))
    good = st.integers(1, 999).map(lambda number: str(number / 100))
    cell = st.one_of(good, good, good, good, good, st.sampled_from(CELLS))
    ragged = draw(st.integers(0, 4)) == 4
    cells = cell if ragged or draw(st.booleans()) else good
    row = st.lists(cells, min_size=max(0, len(names) - ragged), max_size=len(names) + ragged)
    rows = draw(st.lists(row, min_size=draw(st.sampled_from((0, 4))), max_size=9))
    separator = draw(st.sampled_from((*["," for _ in range(12)], ";", "\t", " ")))
    if draw(st.integers(0, 4)) < 4:
        rows = [[str(number), *row[1:]] for number, row in enumerate(rows)]
    text = "\n".join(separator.join(row) for row in [names, *rows])
    asked = draw(
        st.one_of(
            st.just(["a", "b"]), st.just(["a", "b"]), st.just(["a"]), st.lists(st.sampled_from(COLUMNS), max_size=4)
        )
    )
    maximize, minimize = (draw(st.sampled_from((*[usual] * 20, *COLUMNS))) for usual in ("map", "cost"))
    return draw(spoilt(text)), asked, maximize, minimize


def _table(case: tuple[bytes, list[str], str, str], folder: Path) -> object:
    content, parameters, maximize, minimize = case
    (folder / "t.csv").write_bytes(content)
    table = read_table(folder / "t.csv", parameters=parameters, maximize=maximize, minimize=minimize)
    table.candidates(table.cost)
    return table.front(dict(enumerate(table.accuracy)))


MODELS: tuple[Any, ...] = (
    {
        "nc": 80, "scales": {"n": [0.33, 0.25, 1024]}, "activation": "nn.SiLU()",
        "backbone": [[-1, 1, "Conv", [64, 3, 2]], [-1, 1, "Conv", [128, 3, 2]], [-1, 3, "C2f", [128, True]]],
        "head": [[[2], 1, "Detect", ["nc"]]],
    },
    {"nc": 2, "backbone": [[-1, 1, "Conv", [8, 3, 2]]], "head": [[[0], 1, "Detect", ["nc"]]], "blocks": ["no_such.py"]},
)  # fmt: skip

TEXTS = (
    "", " ", "x", "yolov5n", "0", "-1", "nan", "inf", "1e9", "3x1, 3x3", "3×1", "3x1, 12x4", "99999999999x1",
    "1x" + "9" * 9, ",".join(f"{n}x1" for n in range(1, 400)),
    "40 trainings", "200 epochs", "2 h", "1e400 h", "9" * 400 + " h", "0 m",
    "\0", "\u202e", "é", "../x", "a/b", "sqlite:///x.db", "sqlite://", "://", "map50_95", "latency", "cost-aware",
    "tpe", "neck.P4", "١٢٣", "½", "x" * 5000, "\n", "\x1b[31m", "\ud800", "²", "0,1,²", "9" * 5000, "1,1", "1e999M",
)  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(0, 400), st.floats(), st.sampled_from(TEXTS),
    st.text(max_size=8), st.lists(st.sampled_from(TEXTS), max_size=3).map(tuple), st.just(10**400), st.just({"a": 1}),
)  # fmt: skip


def _fields() -> tuple[str, ...]:
    from harness.record.settings import SearchSettings

    return (*SearchSettings.model_fields, "no_such_field")


BOUNDS = ("max_params", "max_macs", "max_latency_ratio", "min_map50_95", "required_sites", "forbidden_sites", "other")
SETTINGS = st.tuples(
    st.dictionaries(st.sampled_from(_fields()), VALUES, max_size=4),
    st.one_of(st.none(), st.dictionaries(st.sampled_from(BOUNDS), VALUES, max_size=3)),
)


def _settings(case: tuple[dict[str, Any], dict[str, Any] | None], _folder: Path) -> object:
    values, bounds = case
    chosen = search_settings(**(values if bounds is None else {**values, "constraints": bounds}))
    every = (
        chosen.all_seeds,
        chosen.ladder,
        chosen.total_budget,
        chosen.folder,
        chosen.cost_objective,
        chosen.constraints.bounds,
    )
    return every, chosen.model_dump(mode="json"), chosen.storage_url


_LABEL = st.lists(st.one_of(st.sampled_from(("0", "1", "0.5", "0.25")), st.sampled_from(CELLS)), min_size=1, max_size=6)
LABELS = st.lists(st.one_of(st.just("1 0.5 0.5 0.2 0.2"), _LABEL.map(" ".join)), max_size=4).map("\n".join)


@cache
def _checkpoint() -> bytes:
    import io

    import torch

    buffer = io.BytesIO()
    torch.save({"model": torch.nn.Conv2d(1, 1, 1), "epoch": -1, "train_args": {"task": "detect"}}, buffer)
    return buffer.getvalue()


@st.composite
def checkpoints(draw: st.DrawFn) -> bytes:
    """Archives of PyTorch with a few bytes changed, cut short, or no archives at all."""
    data = bytearray(_checkpoint())
    if draw(st.integers(0, 9)) == 9:
        return draw(st.binary(max_size=300))
    for at, value in draw(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=6)):
        data[at] = value
    return bytes(data[: draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))])


def _ablation(path: Path) -> object:
    return load_ablation(str(path)).wanted


def _model(path: Path) -> object:
    return resolve_base(str(path))


def _result() -> dict[str, Any]:
    """What a machine might send."""
    influences = {"image_influence": [0.001, -0.001, 0.0]}
    kept: dict[str, Any] = json.loads(result({arm: [0.4, 0.41 + len(arm) / 999] for arm in ARMS}).model_dump_json())
    return {**kept, "trainings": [each | influences for each in kept["trainings"]]}


LOADERS: dict[str, Fuzzed] = {
    "search-space YAML": Fuzzed(files(_shipped(), WORDS), _written("s.yaml", _space), 190),
    "architecture YAML": Fuzzed(files(ARCHITECTURES, WORDS), _written("a.yaml", _architecture), 150),
    "ablation YAML": Fuzzed(files(_shipped("ablations"), WORDS), _written("b.yaml", _ablation), 120),
    "fidelity plan YAML": Fuzzed(files(_shipped("fidelity")), _written("f.yaml", lambda p: load_plan(str(p))), 50),
    "model YAML": Fuzzed(files(MODELS, ("Conv", "CloBlock", "Detect")), _written("m.yaml", _model), 60),
    "dataset YAML": Fuzzed(files(DATASETS), _dataset, 90),
    "COCO JSON": Fuzzed(files((COCO,), write=flow), _coco, 70),
    "preset's result": Fuzzed(
        files((_result(),), write=flow), _written("r.json", lambda p: judge_results(read_results([p]))), 70
    ),
    "label file": Fuzzed(LABELS.flatmap(spoilt), _labels, 20),
    "CSV table": Fuzzed(tables(), _table, 90),
    "checkpoint": Fuzzed(checkpoints(), _written("c.pt", lambda p: resolve_base(str(p))), 20),
    "settings": Fuzzed(SETTINGS, _settings, 70),
}  # fmt: skip
