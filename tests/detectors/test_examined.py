"""One decision on what a checkpoint is, the same for all who ask."""

from __future__ import annotations

import copy
import re
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils.torch_utils import fuse_conv_and_bn

from harness.architecture import Architecture
from harness.common.errors import UserError
from harness.cost.activations import peak_activation_bytes
from harness.cost.ledger import deployed
from harness.detectors import build, find_detector, insert, load_model, resolve_base, transfer
from harness.training.accuracy import save_checkpoint

ASK: dict[str, Callable[[str], object]] = {
    "cost and latency": load_model,
    "search and ablate": resolve_base,
    "sites and model": find_detector,
}


def saved(path: Path, model: Any) -> Path:
    save_checkpoint(model, path)
    return path


def network(name: str = "yolov5n") -> Any:
    torch.manual_seed(0)
    return resolve_base(name).build(2)


@pytest.fixture(params=[*ASK.values()], ids=[*ASK])
def ask(request: pytest.FixtureRequest) -> Callable[[str], object]:
    asked: Callable[[str], object] = request.param
    return asked


def refusal(ask: Callable[[str], object], path: Path) -> str:
    with pytest.raises(UserError) as refused:
        ask(str(path))
    said = str(refused.value)
    assert path.name in said
    assert "\n" not in said
    for not_theirs in ("yolo predict", "ERROR", "Error", "pip install", "UnpicklingError", "NoneType", "__"):
        assert not_theirs not in said
    return said


# --- Fused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["yolov5n", "yolo26n", "yolov7-tiny", "cloformer-xxs"])
def test_a_fused_checkpoint_is_refused_whatever_share_of_its_tensors_would_fit(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / "fused.pt", network(name).fuse(verbose=False))
    assert "batch norms are merged into its convolutions (it is fused" in refusal(resolve_base, path)


def test_one_merged_norm_is_enough(tmp_path: Path, ask: Callable[[str], object]) -> None:
    model = network()
    unit = model.model[0]
    unit.conv = fuse_conv_and_bn(unit.conv, unit.bn)
    del unit.bn
    assert "(it is fused" in refusal(ask, saved(tmp_path / "fused.pt", model))


# --- Pruned -------------------------------------------------------------------------------------------


def pruned() -> Any:
    """The first stage's hidden channels halved, as structured pruning does; the description still says the width."""
    model = network()
    unit, mixing = model.model[2].cv1, model.model[2].cv3
    half = unit.conv.out_channels // 2
    unit.conv.weight = nn.Parameter(unit.conv.weight[:half])
    unit.conv.out_channels = half
    norm = nn.BatchNorm2d(half)
    unit.bn = norm
    bottleneck = model.model[2].m[0]
    bottleneck.cv1.conv.weight = nn.Parameter(bottleneck.cv1.conv.weight[:, :half])
    bottleneck.cv2.conv.weight = nn.Parameter(bottleneck.cv2.conv.weight[:half])
    bottleneck.cv2.bn = nn.BatchNorm2d(half)
    bottleneck.add = True
    mixing.conv.weight = nn.Parameter(mixing.conv.weight[:, :-half])
    return model


def test_a_pruned_checkpoint_is_refused_by_its_reason_in_every_command(
    tmp_path: Path, ask: Callable[[str], object]
) -> None:
    said = refusal(ask, saved(tmp_path / "pruned.pt", pruned()))
    assert "It was pruned or changed after it was built" in said
    assert "layer 2 has a tensor of 8" in said


def test_a_checkpoint_whose_layer_was_exchanged_is_refused_too(tmp_path: Path) -> None:
    model = network()
    model.model[2].m = nn.Sequential(*model.model[2].m, *network().model[2].m)
    assert "layer 2 has other parts" in refusal(resolve_base, saved(tmp_path / "m.pt", model))


# --- Used rightly -------------------------------------------------------------------------------------


def test_buffers_that_a_counter_left_are_dropped_and_the_rest_is_used(tmp_path: Path) -> None:
    model = copy.deepcopy(network())  # all networks of this process share one activation
    for module in model.modules():
        module.register_buffer("total_ops", torch.zeros(1))
        module.register_buffer("total_params", torch.zeros(1))
    loaded = load_model(str(saved(tmp_path / "thop.pt", model)))
    expected = {name: t for name, t in model.state_dict().items() if "total_" not in name}
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in expected.items())
    base = resolve_base(str(tmp_path / "thop.pt"))
    moved = transfer(base.load(), build(base.config), {i: i for i in range(len(model.model))})
    assert (moved.arrived, moved.left_behind) == (len(expected), {})


def test_a_network_read_from_a_checkpoint_is_the_one_that_its_name_builds(tmp_path: Path) -> None:
    """Activations in place in one and not in the other differed in peak memory."""
    shape = (1, 3, 96, 96)
    by_name = resolve_base("yolov8n").build(2)
    from_file = load_model(str(saved(tmp_path / "m.pt", by_name)))
    for fused in (False, True):
        peaks = {peak_activation_bytes(deployed(m, fused=fused), shape) for m in (by_name, from_file)}
        assert len(peaks) == 1


def test_class_names_and_their_number_come_along(tmp_path: Path) -> None:
    model = network()
    model.names = {0: "cat", 1: "dog"}
    loaded = load_model(str(saved(tmp_path / "m.pt", model)))
    assert (loaded.names, loaded.model[-1].nc) == ({0: "cat", 1: "dog"}, 2)


# --- Foreign and one-channel --------------------------------------------------------------------------


def test_a_checkpoint_of_one_channel_is_refused_in_every_command(tmp_path: Path, ask: Callable[[str], object]) -> None:
    model = DetectionModel(resolve_base("yolov5n").config | {"scale": "n"}, ch=1, nc=2, verbose=False)
    said = refusal(ask, saved(tmp_path / "grey.pt", model))
    assert "takes images of 1 channel; a model here takes colour images, 3 channels" in said


def test_a_description_of_one_channel_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "grey.yaml"
    path.write_text("nc: 2\nchannels: 1\nbackbone: [[-1, 1, Conv, [8, 3, 2]]]\nhead: [[[0], 1, Detect, [nc]]]\n")
    assert "takes images of 1 channel" in refusal(resolve_base, path)


def written_by(monkeypatch: pytest.MonkeyPatch, module: str, path: Path) -> Path:
    """A checkpoint with a layer of a module that is there when it is written, and not when it is read."""
    parents = module.split(".")
    for depth in range(1, len(parents) + 1):
        name = ".".join(parents[:depth])
        if name not in sys.modules:
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    layer = type("Theirs", (nn.Module,), {"__module__": module})
    monkeypatch.setattr(sys.modules[module], "Theirs", layer, raising=False)
    model = network()
    model.model[2].m = layer()
    torch.save({"model": model, "ema": None, "epoch": -1}, path)
    monkeypatch.undo()
    return path


@pytest.mark.parametrize("module", ["models.yolo", "models.common"])
def test_the_original_yolov5s_checkpoint_is_named_and_what_to_give_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    said = refusal(resolve_base, written_by(monkeypatch, module, tmp_path / "yolov5s.pt"))
    assert "the original YOLOv5" in said
    assert "yolov5su.pt" in said
    assert "PYTHONPATH" not in said


def test_a_changed_ultralytics_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written_by(monkeypatch, "ultralytics.nn.modules.block", tmp_path / "fork.pt")
    assert "another version of Ultralytics: the installed one does not have its Theirs" in refusal(resolve_base, path)


# --- Files that are no checkpoints --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 14\n", "is a Git LFS pointer"),
        (b"<!DOCTYPE html>\n<html><body>404</body></html>", "is a web page"),
        (b"\n\n  <html lang='zh'>", "is a web page"),
        (b"nc: 80\n", "is no PyTorch checkpoint"),
        (b"PK\x03\x04 and no more", "is a part of a checkpoint"),
        (b"\x80\x02}q\x00.", "is damaged"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_named_by_what_it_is(
    tmp_path: Path, ask: Callable[[str], object], content: bytes, what: str
) -> None:
    path = tmp_path / "yolov8n.pt"
    path.write_bytes(content)
    assert what in refusal(ask, path)


@pytest.mark.parametrize("wrap", [lambda w: w, lambda w: {"model": w, "epoch": 3}, lambda w: {"state_dict": w}])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict_is_named_as_weights_alone(tmp_path: Path, wrap: Callable[[Any], Any], zipped: bool) -> None:
    weights = OrderedDict(network().state_dict())
    torch.save(wrap(weights), tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    assert "holds weights alone (a state dict)" in refusal(resolve_base, tmp_path / "w.pt")


def test_other_archives_are_told_apart(tmp_path: Path) -> None:
    for member, what in (("m/constants.pkl", "TorchScript"), ("readme.txt", "a zip archive without a checkpoint")):
        with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
            archive.writestr(member, "")
        assert what in refusal(resolve_base, tmp_path / "m.pt")


def test_an_archive_with_a_broken_end_is_said_to_be_damaged(tmp_path: Path) -> None:
    whole = bytearray(saved(tmp_path / "m.pt", network()).read_bytes())
    start = whole.index(b"PK\x01\x02")  # the first entry of the archive's directory
    whole[start : start + 4] = b"PKxx"
    (tmp_path / "broken.pt").write_bytes(whole)
    assert "is damaged" in refusal(resolve_base, tmp_path / "broken.pt")


def test_half_of_a_checkpoint_is_said_to_be_half(tmp_path: Path) -> None:
    whole = saved(tmp_path / "m.pt", network()).read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    assert "is a part of a checkpoint" in refusal(resolve_base, tmp_path / "half.pt")


# --- Other classes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "outputs"), [("yolov5n", 6), ("yolo11n", 6), ("yolo26n", 12), ("yolov10n", 12)])
def test_of_other_classes_all_but_their_outputs_arrive(tmp_path: Path, name: str, outputs: int) -> None:
    """Small detectors' class branches are as wide as there are classes; they stay as wide as the checkpoint's."""
    coco = resolve_base(str(saved(tmp_path / "coco.pt", resolve_base(name).build(80))))
    own = build(coco.config, 3)
    moved = transfer(coco.load(), own, {layer: layer for layer in range(len(own.model))})
    assert len(moved.left_behind) == len(moved.new) == outputs
    assert all(re.search(r"cv3\.\d\.2\.(weight|bias)$", tensor) for tensor in moved.left_behind)
    assert own.eval()(torch.zeros(1, 3, 64, 64))[0].shape[1:] == ((300, 6) if own.end2end else (7, 84))
    assert build(insert(coco, Architecture(base=coco.name), classes=3)).state_dict().keys() == own.state_dict().keys()


def test_a_checkpoint_that_ultralytics_trained_on_from_other_classes_is_what_it_is(tmp_path: Path) -> None:
    """Ultralytics keeps the class branches as wide, although the description that it writes says another width."""
    coco = resolve_base("yolo11n").build(80)
    tuned = DetectionModel(coco.yaml, nc=3, verbose=False)
    tuned.load(coco, verbose=False)
    base = resolve_base(str(saved(tmp_path / "tuned.pt", tuned)))
    again = resolve_base(str(saved(tmp_path / "again.pt", base.load())))
    for each in (base, again):
        assert each.build(3).model[-1].cv3[0][-1].in_channels == 80
        assert not transfer(tuned, each.load(), {layer: layer for layer in range(len(tuned.model))}).left_behind


def test_class_branches_whose_width_no_number_of_classes_changes_are_not_spoken_of(tmp_path: Path) -> None:
    path = saved(tmp_path / "small.pt", resolve_base("yolov8s").build(80))
    assert "class_width" not in resolve_base(str(path)).config
