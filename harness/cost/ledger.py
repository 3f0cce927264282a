"""The cost ledger of a model: by layer and by operator, as it is trained and as it is deployed.

A total alone can't be checked by whoever doubts it. The ledger's rows add up to the total exactly, say what
is no multiply-accumulate by another name, and carry a list of what nobody counted.
"""

from __future__ import annotations

import copy
import inspect
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from harness.cost.activations import Shapes, observe
from harness.cost.counts import PRODUCT_NAMES, Cost, cost_of_trace, square_input, trace
from harness.cost.elementwise import ELEMENTWISE_NAMES
from harness.cost.operators import IGNORED

# What is in no figure of any ledger; calls of single operators are in `ignored` and `uncounted`.
NOT_COUNTED = (
    "moving, copying and reshaping data (cat, chunk, permute, contiguous, padding, gather)",
    "arithmetic on integers and truth values (sizes, indices, masks)",
    "non-maximum suppression, which follows the model",
    "workspaces within a single operator, in the peak activation bytes",
)
# Name of the row of what is computed outside all layers.
REST = "other"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of a model.

    Attributes:
        name: Path within the model, such as `model.4`.
        kind: Its class.
        params: Learnable parameters; those shared with an earlier layer are the earlier one's.
        macs: Multiply-accumulates of convolutions and matrix products.
        elementwise: Elementwise operations of all other operators together.
        outputs: Shapes of the tensors that it gives, batch 1.
    """

    name: str
    kind: str
    params: int
    macs: int
    elementwise: int
    outputs: Shapes

    @property
    def flops(self) -> int:
        """Twice the MACs."""
        return 2 * self.macs


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """All that one form of a model costs for one image.

    Attributes:
        cost: Totals, and the table by operator.
        layers: The table by layer; its sums are the totals.
        peak_activation_bytes: See `harness.cost.activations`.
    """

    cost: Cost
    layers: tuple[Layer, ...]
    peak_activation_bytes: int

    @property
    def not_counted(self) -> list[str]:
        """In sentences, what is in no figure here."""
        calls = {**self.cost.ignored, **self.cost.uncounted}
        reasons = {name: IGNORED.get(name, "without a formula") for name in calls}
        return [*NOT_COUNTED, *(f"{name} ({times} calls): {reasons[name]}" for name, times in calls.items())]

    def to_dict(self) -> dict[str, Any]:
        """Return the contract of `clo cost --json`."""
        return {
            **asdict(self.cost),
            "flops": self.cost.flops,
            "peak_activation_bytes": self.peak_activation_bytes,
            "layers": [{**asdict(layer), "flops": layer.flops} for layer in self.layers],
            "not_counted": self.not_counted,
        }


def model_ledger(model: nn.Module, imgsz: int, channels: int = 3) -> Ledger:
    """Count a model as it stands, for one square image in eval mode. The model stays as it was.

    Args:
        model: Takes images (1, channels, imgsz, imgsz).
        imgsz: Side of the image, in pixels.
        channels: Channels of the image.

    Raises:
        UserError: `imgsz` is not a positive multiple of the model's largest stride.

    Example: a multiplication and its addition are one MAC.
        >>> model_ledger(nn.Conv2d(3, 8, 3, padding=1, bias=False), imgsz=32).cost.macs
        221184
    """
    shape = square_input(model, imgsz, channels)
    traced = trace(model, shape)
    layers = dict(_layers(model))
    peak, outputs = observe(model, shape, layers)
    rows: list[Layer] = []
    seen: set[int] = set()
    for name, layer in layers.items():
        own = {id(parameter): parameter.numel() for parameter in layer.parameters() if id(parameter) not in seen}
        seen |= own.keys()
        counts = traced.by_module.get(name, Counter())
        rows.append(_row(name, type(layer).__name__, sum(own.values()), counts, outputs.get(name, ())))
    cost = cost_of_trace(model, traced)
    elsewhere = traced.total.copy()
    for name in layers:
        elsewhere.subtract(traced.by_module.get(name, Counter()))
    rest = _row(REST, "", cost.params - sum(row.params for row in rows), elsewhere, ())
    if rest.params or rest.macs or rest.elementwise:
        rows.append(rest)
    return Ledger(cost=cost, layers=tuple(rows), peak_activation_bytes=peak)


def fused_ledger(model: nn.Module, imgsz: int, channels: int = 3) -> Ledger | None:
    """Count the form that is deployed: norms merged into convolutions, branches re-parameterised.

    Args:
        model: See `model_ledger`, as for the others. It stays as it was.
        imgsz: Side of the image, in pixels.
        channels: Channels of the image.

    Returns:
        None if the model has no `fuse()`, as Ultralytics' have.

    Raises:
        UserError: See `model_ledger`.
    """
    return model_ledger(deployed(model), imgsz, channels) if hasattr(model, "fuse") else None


def _layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers of an Ultralytics model, else the model's children, else the model itself."""
    inner = getattr(model, "model", None)
    prefix, parent = ("model.", inner) if isinstance(inner, nn.Sequential) else ("", model)
    found = False
    for name, child in parent.named_children():
        found = True
        if isinstance(child, nn.ModuleList):  # is not called itself
            yield from ((f"{prefix}{name}.{index}", part) for index, part in child.named_children())
        else:
            yield f"{prefix}{name}", child
    if not found:
        yield "", model


def _row(name: str, kind: str, params: int, counts: Counter[str], outputs: Shapes) -> Layer:
    return Layer(
        name=name,
        kind=kind,
        params=params,
        macs=int(sum(counts[operator] for operator in PRODUCT_NAMES)),
        elementwise=int(sum(counts[operator] for operator in ELEMENTWISE_NAMES)),
        outputs=outputs,
    )


def deployed(model: nn.Module, *, fused: bool = True) -> nn.Module:
    """Copy a model in eval mode without gradients, fused if asked and if it has a `fuse()`, as Ultralytics' have.

    Fusing merges batch norms into convolutions, re-parameterises branches and drops a head that only training needs.
    """
    copied = copy.deepcopy(model).eval().requires_grad_(False)
    fuse = getattr(copied, "fuse", None)
    if fused and fuse is not None:
        fuse(**({"verbose": False} if "verbose" in inspect.signature(fuse).parameters else {}))
    return copied
