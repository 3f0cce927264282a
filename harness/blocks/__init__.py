"""The Clo block and CloFormer as plain `torch.nn` modules; knows nothing of detectors.

Reference: Fan et al., "Rethinking Local Perception in Lightweight Vision Transformer" (CloFormer),
arXiv:2303.17803, 2023.
"""

from __future__ import annotations

from harness.blocks.attention import CloAttention
from harness.blocks.block import CloBlock
from harness.blocks.cloformer import CloFormer
from harness.blocks.controls import CBAM, SqueezeExcitation
from harness.blocks.ffn import ConvFFN
from harness.blocks.registry import (
    BlockEntry,
    BlockError,
    RegisteredBlock,
    block_modules,
    import_block_file,
    register_block,
)

__all__ = [
    "CBAM",
    "BlockEntry",
    "BlockError",
    "CloAttention",
    "CloBlock",
    "CloFormer",
    "ConvFFN",
    "RegisteredBlock",
    "SqueezeExcitation",
    "block_modules",
    "import_block_file",
    "register_block",
]
