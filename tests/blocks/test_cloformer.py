from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from harness.blocks import CloFormer
from harness.blocks.cloformer import VARIANTS, Downsample
from harness.blocks.official import OfficialStateDictError
from tests.blocks import golden
from tests.blocks.plain import Weights, below, conv, norm, plain_block

GOLDEN = ["xxs", "s"]
EVERY_NETWORK: list[tuple[str, Downsample]] = [*((name, "official") for name in VARIANTS), ("xxs", "article")]


def network(name: str = "xxs", num_classes: int = 10, downsample: Downsample = "official") -> CloFormer:
    """A variant for evaluation, with weights that depend on nothing else."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CloFormer.from_variant(name, num_classes, downsample).eval()


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def parameters(name: str, downsample: Downsample = "official") -> int:
    """How many the variant has with its 1000 classes; nothing is allocated."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in CloFormer.from_variant(name, 1000, downsample).parameters())


# --- The official code's numbers --------------------------------------------------------------------------------------


def golden_file(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((golden.FOLDER / f"cloformer_{name}_224.json").read_text())
    return read


def golden_weights(case: dict[str, Any]) -> dict[str, Tensor]:
    """The recipe with which the reference networks were filled."""
    generator = np.random.default_rng(case["fill_seed"])
    filled = {}
    for key, shape in sorted(case["keys"].items()):
        if key.endswith("num_batches_tracked"):
            filled[key] = torch.tensor(0)
        else:
            drawn = generator.standard_normal(shape).astype(np.float32)
            filled[key] = torch.from_numpy(_as_a_weight(key, drawn).astype(np.float32))
    return filled


def _as_a_weight(key: str, drawn: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    scales_a_norm = key.endswith("weight") and any(part in key for part in ("norm", "conv.1.", "downsample.1."))
    if key.endswith("running_var"):
        return 1 + 0.1 * np.abs(drawn)
    if drawn.ndim == 1 and scales_a_norm:
        return 1 + 0.1 * drawn
    if drawn.ndim in (2, 4):
        return drawn / float(np.sqrt(np.prod(drawn.shape[1:])))
    return 0.1 * drawn


@pytest.mark.parametrize("name", GOLDEN)
def test_logits_are_the_official_codes(name: str) -> None:
    case = golden_file(name)
    model = network(name, num_classes=1000)
    model.load_official_state_dict(golden_weights(case))
    drawn = np.random.default_rng(case["input_seed"]).standard_normal(case["input_shape"])
    with torch.no_grad():
        logits = model(torch.from_numpy(drawn.astype(np.float32)))
    torch.testing.assert_close(logits, torch.tensor([case["logits"]]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", GOLDEN)
def test_keys_and_shapes_are_the_official_ones(name: str) -> None:
    tensors = network(name, num_classes=1000).official_tensors()
    assert {key: list(tensor.shape) for key, tensor in tensors.items()} == golden_file(name)["keys"]


@pytest.mark.parametrize(("name", "count"), [("xxs", 4_166_728), ("xs", 7_172_216), ("s", 12_345_576)])
def test_parameters_are_as_many_as_published(name: str, count: int) -> None:
    assert parameters(name) == count


# --- Second oracle: the published equations ---------------------------------------------------------------------------


def plain_cloformer(x: Tensor, weights: Weights, name: str) -> Tensor:
    """The whole network in evaluation mode, from the article's equations."""
    for number, stride in enumerate((2, 2, 1, 1), start=1):
        x = conv(x, weights, f"patch_embed.conv{number}.conv.0", stride, padding=1)
        mean, variance, weight, bias = (
            weights[f"patch_embed.conv{number}.conv.1.{part}"].view(1, -1, 1, 1)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        x = F.relu((x - mean) / torch.sqrt(variance + 1e-5) * weight + bias)
    x = norm(conv(x, weights, "patch_embed.conv5"), weights, "patch_embed.layernorm")
    for stage, (depth, window, kernel) in enumerate(zip((2, 2, 6, 2), (8, 4, 2, 1), (3, 5, 7, 9), strict=True)):
        kernels = () if name == "global" else (kernel,)
        for index in range(depth):
            stride = 2 if index == depth - 1 and stage < 3 else 1
            block = below(f"layers.{stage}.blocks.{index}", weights)
            x = plain_block(x, block, VARIANTS[name].groups[stage], kernels, window, 5, stride)
    return F.linear(norm(x, weights, "norm").mean(dim=(2, 3)), weights["head.weight"], weights["head.bias"])


@pytest.mark.parametrize("size", [(97, 130), (5, 1)])
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_equals_the_published_equations(name: str, size: tuple[int, int]) -> None:
    model, image = network(name), noise(2, 3, *size)
    with torch.no_grad():
        expected = plain_cloformer(image, model.official_tensors(), name)
        torch.testing.assert_close(model(image), expected, atol=2e-5, rtol=1e-4)


def test_the_ablations_leave_out_one_branch_each() -> None:
    keys = {name: network(name).official_tensors().keys() for name in ("global", "no_global")}
    assert not [key for key in keys["global"] if ".convs." in key or ".qkvs." in key]
    assert not [key for key in keys["no_global"] if ".global_" in key]


# --- The skip between stages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_the_articles_skip_saves_what_mixing_and_the_norm_cost(name: str) -> None:
    """Full 5×5 and BatchNorm: 25c² + c + 2c; depth-wise 5×5: 25c + c."""
    saved = parameters(name) - parameters(name, "article")
    assert saved == sum(25 * c**2 - 23 * c for c in VARIANTS[name].widths[:3])


@pytest.mark.parametrize(
    ("downsample", "counts"),
    [
        ("official", [4_166_728, 7_172_216, 12_345_576, 3_998_024, 4_733_256]),
        ("article", [3_634_280, 6_251_208, 10_588_744, 3_465_576, 4_200_808]),
    ],
)
def test_the_docstrings_table_is_true(downsample: Downsample, counts: list[int]) -> None:
    row = next(line for line in str(CloFormer.__doc__).splitlines() if line.strip().startswith(f"| {downsample} "))
    assert [int(cell.replace(",", "")) for cell in row.split("|")[2:-1]] == counts
    assert [parameters(name, downsample) for name in VARIANTS] == counts


def test_the_articles_skip_is_the_official_one_without_mixing_and_norm() -> None:
    """A depth-wise convolution is a full one with a diagonal kernel."""
    article, official = network(downsample="article"), network()
    weights: dict[str, Tensor] = {}
    for key, tensor in article.official_tensors().items():
        if ".downsample.0.weight" in key:
            weights[key] = torch.eye(len(tensor))[:, :, None, None] * tensor
        else:
            weights[key.replace(".downsample.1.", ".downsample.2.")] = tensor
    for key, tensor in official.official_tensors().items():
        if ".downsample.1." in key:
            weights[key] = torch.zeros_like(tensor) if key.endswith(("mean", "bias")) else torch.ones_like(tensor)
    official.load_official_state_dict(weights)
    for module in official.stages.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0
    image = noise(1, 3, 61, 42)
    with torch.no_grad():
        torch.testing.assert_close(article(image), official(image), atol=1e-5, rtol=1e-5)


def test_official_weights_are_refused_by_the_articles_skip() -> None:
    with pytest.raises(OfficialStateDictError, match='build it with downsample="official"'):
        network(downsample="article").load_official_state_dict(network().official_tensors())


# --- Loading ----------------------------------------------------------------------------------------------------------


def test_missing_and_unexpected_keys_are_all_named() -> None:
    model = network()
    weights = {key: tensor.clone() for key, tensor in model.official_tensors().items()}
    del weights["norm.bias"], weights["layers.2.blocks.5.downsample.1.weight"]
    weights |= {"fc.weight": torch.zeros(1), "fc.bias": torch.zeros(1)}
    with pytest.raises(OfficialStateDictError) as caught:
        model.load_official_state_dict(weights)
    assert "missing: layers.2.blocks.5.downsample.1.weight, norm.bias" in str(caught.value)
    assert "unexpected: fc.bias, fc.weight" in str(caught.value)


def test_weights_for_other_classes_are_refused_with_both_shapes() -> None:
    with pytest.raises(OfficialStateDictError, match=r"head\.weight is \(7, 256\) instead of \(10, 256\)"):
        network().load_official_state_dict(network(num_classes=7).official_tensors())


def test_every_value_has_an_official_key() -> None:
    model = network()
    places = model.official_tensors().values()
    assert sum(place.numel() for place in places) == sum(own.numel() for own in model.state_dict().values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("m",), "variant is 'm'; it is one of xxs, xs, s, global, no_global"),
        (("xxs", -1), "num_classes is -1; it is 0"),
        (("xxs", 10, "paper"), "downsample is 'paper'; it is 'official' or 'article'"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CloFormer.from_variant(*arguments)


# --- A detector's backbone --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shapes_only() -> CloFormer:
    return network(num_classes=0).to("meta")


@settings(deadline=None, max_examples=8)
@given(height=st.integers(1, 400), width=st.integers(1, 400))
def test_features_have_strides_8_16_32_rounded_up(shapes_only: CloFormer, height: int, width: int) -> None:
    features = shapes_only.forward_features(torch.empty(2, 3, height, width, device="meta"))
    expected = [
        (2, channels, -(-height // stride), -(-width // stride))
        for channels, stride in zip(shapes_only.feature_widths, (8, 16, 32), strict=True)
    ]
    assert [tuple(feature.shape) for feature in features] == expected


def test_the_classifier_reads_the_deepest_features() -> None:
    model, image = network(), noise(1, 3, 64, 96)
    with torch.no_grad():
        deepest = model.forward_features(image)[-1]
        expected = model.head(model.norm(deepest).mean(dim=(2, 3)))
        torch.testing.assert_close(model(image), expected, atol=1e-6, rtol=1e-5)


def test_without_classes_the_network_gives_pooled_features() -> None:
    model = network(num_classes=0)
    assert model(noise(2, 3, 33, 47)).shape == (2, 256)
    assert not [key for key in model.official_tensors() if key.startswith("head")]


# --- What training frameworks, exporters and GPUs ask -----------------------------------------------------------------


@pytest.mark.parametrize(("name", "downsample"), EVERY_NETWORK)
def test_forward_on_cuda_makes_no_cpu_tensor(name: str, downsample: Downsample) -> None:
    model = network(name, downsample=downsample)
    state = model.state_dict()
    with FakeTensorMode():
        fake = {key: torch.empty(value.shape, dtype=value.dtype, device="cuda") for key, value in state.items()}
        out = torch.func.functional_call(model, fake, (torch.empty(2, 3, 97, 130, device="cuda"),))
    assert out.device.type == "cuda"
    assert out.shape == (2, 10)


@pytest.mark.parametrize(("name", "downsample"), EVERY_NETWORK)
def test_backward_on_meta_reaches_every_parameter(name: str, downsample: Downsample) -> None:
    model = network(name, downsample=downsample).to("meta").train()
    model(torch.empty(2, 3, 97, 130, device="meta")).sum().backward()
    assert [key for key, parameter in model.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_frozen_stem_can_be_trained_behind(memory_format: torch.memory_format) -> None:
    """PyTorch's GroupNorm crashes the process here when it is given a channels_last map on CPU."""
    model = network().train()
    model.to(memory_format=memory_format)  # type: ignore[call-overload]
    model.stem.steps.requires_grad_(False)
    model.stem.project.requires_grad_(False)
    model(noise(2, 3, 64, 64).contiguous(memory_format=memory_format)).square().sum().backward()
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None and bool(parameter.grad.isfinite().all()) for parameter in learning)
    assert model.stem.norm.weight.grad is not None


def test_autocast_stays_close_to_float32() -> None:
    model, image = network(), noise(2, 3, 64, 64)
    with torch.no_grad():
        exact = model(image)
        with torch.autocast("cpu", torch.bfloat16):
            reduced = model(image)
    torch.testing.assert_close(reduced.float(), exact, atol=0.05, rtol=0.05)


def test_exports_with_a_dynamic_batch() -> None:
    model = network()
    shapes: tuple[dict[int, torch.export.Dim]] = ({0: torch.export.Dim("batch", min=1, max=64)},)
    program = torch.export.export(model, (noise(2, 3, 64, 64),), dynamic_shapes=shapes)
    image = noise(5, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(image), model(image), atol=1e-6, rtol=1e-5)
