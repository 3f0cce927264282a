"""Every block and operator on a device: against the CPU, under autocast, and in the other memory layout.

An error is the largest difference of two tensors over the largest value of the reference. Gradients that are zero
by symmetry, such as that of a key's bias under softmax, hold nothing but rounding; a gradient is therefore measured
against one hundredth of the module's largest gradient where its own values are below that.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.gpu_checks.outcome import Outcome
from harness.blocks import CloAttention, CloBlock, ConvFFN, RegisteredBlock
from harness.blocks.operators import GATES, LOCAL_OPERATORS
from harness.blocks.registry import block_names

CHANNELS = 32
SHAPES = ((2, CHANNELS, 20, 20), (1, CHANNELS, 9, 7))
"""A stride's usual map, and one that no window divides; (B, C, H, W)."""
FLOAT32_LIMIT = 1e-3
"""Largest error between devices or layouts in float32 without TF32. CPU float32 against float64 has 1e-5; another
device sums in another order and may convolve by another algorithm, but a wrong result is off by far more."""
AUTOCAST_LIMITS = {torch.bfloat16: 0.05, torch.float16: 0.01}
"""Largest error of a module's output under autocast; on the CPU it is 0.006 and 0.0007."""
_FLOOR = 0.01

Make = Callable[[], nn.Module]


def modules() -> dict[str, Make]:
    """Every kind of module that a search can insert, by name, the registered blocks included."""
    attention = partial(CloAttention, CHANNELS, 4)
    block = partial(CloBlock, CHANNELS, num_heads=4, group_split=(2, 2), kernel_sizes=(5,), window_size=4)
    return {
        **{f"operator {name}": partial(attention, (1, 1, 2), (3, 5), 4, name) for name in LOCAL_OPERATORS},
        **{f"gate {name}": partial(attention, (4, 0), (3,), 1, "attnconv", name) for name in GATES},
        "nothing aggregated": partial(attention, (4, 0), (3,), 1, "attnconv", "swish_tanh", False, False),
        "global attention of pixels": partial(attention, (4,), (), 1),
        "ConvFFN": partial(ConvFFN, CHANNELS, 64, 5, 1, CHANNELS),
        "plain FFN": partial(ConvFFN, CHANNELS, 64, 5, 1, CHANNELS, False),
        "identity block": partial(block, out_dim=CHANNELS, mlp_kernel_size=5, mlp_ratio=2, stride=1),
        "official block": partial(
            block, out_dim=CHANNELS, mlp_kernel_size=5, mlp_ratio=2, stride=1, init="official"
        ),
        "downsampling block": partial(block, out_dim=48, mlp_kernel_size=5, mlp_ratio=2, stride=2),
        **{f"kind {name}": partial(RegisteredBlock, CHANNELS, {"name": name}) for name in block_names()},
    }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Case:
    """One module with its weights, a map, and the gradient that reaches its output; all on the CPU, in float32."""

    name: str
    module: nn.Module
    x: Tensor
    weights: Tensor

    def on(
        self,
        device: str,
        dtype: torch.dtype = torch.float32,
        layout: torch.memory_format = torch.contiguous_format,
        autocast: torch.dtype | None = None,
    ) -> dict[str, Tensor]:
        """Output and gradients of input and parameters, computed on a device and brought back."""
        module = copy.deepcopy(self.module).to(device, dtype)
        x = self.x.to(device, dtype).clone(memory_format=layout).requires_grad_()
        kind = torch.device(device).type
        with _without_tf32(), torch.autocast(kind, autocast, enabled=autocast is not None):
            out = module(x)
            out.backward(self.weights.to(device, out.dtype))
        found = {"output": out, "input": x.grad, **{name: p.grad for name, p in module.named_parameters()}}
        return {name: tensor.detach().double().cpu() for name, tensor in found.items() if tensor is not None}


def cases(made: dict[str, Make]) -> Iterator[Case]:
    """Every module on every map, with weights and maps that depend on nothing else; no layer scale is zero."""
    for name, make in made.items():
        for shape in SHAPES:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                module, x = make().train(), torch.randn(shape)
                with torch.no_grad():
                    for key, parameter in module.named_parameters():
                        if "layer_scale" in key:
                            parameter.fill_(0.5)
                    weights = torch.randn_like(module(x))
            yield Case(name=name, module=module, x=x, weights=weights)


def error_of(found: dict[str, Tensor], reference: dict[str, Tensor]) -> float:
    """Largest error of output and gradients; infinite where one is missing or not finite."""
    if found.keys() != reference.keys() or not all(tensor.isfinite().all() for tensor in found.values()):
        return float("inf")
    sizes = {name: float(tensor.abs().max()) for name, tensor in reference.items()}
    floor = _FLOOR * max((size for name, size in sizes.items() if name != "output"), default=0.0)
    scales = {name: size if name == "output" else max(size, floor) for name, size in sizes.items()}
    return max(float((found[name] - reference[name]).abs().max()) / (scales[name] or 1.0) for name in reference)


def devices_agree(device: str, made: dict[str, Make]) -> Outcome:
    """Forward and backward in float32 without TF32, against the CPU."""
    return _worst(made, FLOAT32_LIMIT, lambda case: error_of(case.on(device), case.on("cpu")))


def layouts_agree(device: str, made: dict[str, Make]) -> Outcome:
    """Forward and backward of a channels_last map, against the contiguous one on the same device."""
    return _worst(
        made, FLOAT32_LIMIT, lambda case: error_of(case.on(device, layout=torch.channels_last), case.on(device))
    )


def autocast_is_close(device: str, made: dict[str, Make], dtype: torch.dtype) -> Outcome:
    """Output under autocast against float32 on the same device; the gradients need only be finite."""

    def error(case: Case) -> float:
        found, reference = case.on(device, autocast=dtype), case.on(device)
        finite = all(tensor.isfinite().all() for tensor in found.values())
        return error_of({"output": found["output"]}, {"output": reference["output"]}) if finite else float("inf")

    return _worst(made, AUTOCAST_LIMITS[dtype], error)


def _worst(made: dict[str, Make], limit: float, error: Callable[[Case], float]) -> Outcome:
    errors = {f"{case.name}, {case.x.shape[2]}×{case.x.shape[3]}": error(case) for case in cases(made)}
    worst = max(errors, key=lambda name: errors[name])
    return Outcome(
        measured=f"{len(made)} modules, {len(errors)} maps; largest error {errors[worst]:.1e} ({worst})",
        limit=f"error ≤ {limit:g}",
        passed=errors[worst] <= limit,
    )


@contextlib.contextmanager
def _without_tf32() -> Iterator[None]:
    """TF32 rounds products to 10 bits and would hide what is looked for."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
