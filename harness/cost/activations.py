"""Peak activation memory: measured tensor by tensor, not modelled, so that what happens inside layers is in it.

Definition: run one forward pass on the CPU, batch 1, float32, eval mode, without gradients. After each operator
that PyTorch dispatches, add up the bytes of all tensor storages that are alive: the image, which the caller
holds; every activation that something still refers to, among them the outputs that Ultralytics saves for later
layers until the pass ends; and temporaries inside layers. The peak is the largest of these sums. Storages count
once however many views they have. Weights and buffers aren't in it, nor are workspaces within a single operator.

A closed form where layers run one after the other: image + max over layers (input + output), where the first
layer's input is the image itself (tests/cost/test_activations.py).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from harness.cost.counts import first_pass, tensors

Shapes = tuple[tuple[int, ...], ...]


def peak_activation_bytes(module: nn.Module, input_shape: tuple[int, int, int, int]) -> int:
    """Count the bytes of the tensors alive at the fullest moment of one forward pass; see the head of this file.

    Args:
        module: Takes one tensor. It stays as it was.
        input_shape: (B, C, H, W).
    """
    return observe(module, input_shape, {})[0]


def observe(
    module: nn.Module, input_shape: tuple[int, int, int, int], layers: Mapping[str, nn.Module]
) -> tuple[int, dict[str, Shapes]]:
    """Measure peak activation bytes, and the shapes of the tensors that each layer gives.

    Args:
        module: Takes one tensor. It stays as it was.
        input_shape: (B, C, H, W).
        layers: Layers of the module by name; those that are not called are absent from the result.
    """
    copied = first_pass(module)
    shapes: dict[str, Shapes] = {}

    def note(name: str) -> Callable[[nn.Module, Sequence[object], object], None]:
        def hook(_module: nn.Module, _inputs: Sequence[object], output: object) -> None:
            shapes[name] = tuple(tuple(tensor.shape) for tensor in tensors(output))

        return hook

    for name in layers:
        copied.get_submodule(name).register_forward_hook(note(name))
    image = torch.zeros(input_shape)
    alive = _AliveBytes(without=[*copied.parameters(), *copied.buffers()])
    alive.see(image)
    with torch.no_grad(), alive:
        copied(image)
    return alive.peak, shapes


class _AliveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches every storage from the operator that made it until nothing refers to it."""

    def __init__(self, without: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._bytes = 0
        self._seen = weakref.WeakSet(tensor.untyped_storage() for tensor in without)

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.see(leaf)
        self.peak = max(self.peak, self._bytes)
        return result

    def see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage not in self._seen:
            self._seen.add(storage)
            self._bytes += storage.nbytes()
            self.peak = max(self.peak, self._bytes)
            weakref.finalize(storage, self._gone, storage.nbytes())

    def _gone(self, size: int) -> None:
        self._bytes -= size
