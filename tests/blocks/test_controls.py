"""SE and CBAM by their published equations; and the socket that they stand in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from harness.blocks import CBAM, BlockError, RegisteredBlock, SqueezeExcitation, import_block_file, register_block
from harness.blocks.controls import cbam_cost, se_cost
from harness.blocks.registry import block_entry, block_names
from tests.blocks.plain import conv
from tests.blocks.test_block import noise


def squeeze(x: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """Two fully connected layers with ReLU between."""
    return conv(torch.relu(conv(x, weights, "weigh.0")), weights, "weigh.2")


def test_se_by_its_equations() -> None:
    made = SqueezeExcitation(8, 4)
    x, weights = noise(2, 8, 5, 6), dict(made.state_dict())
    mean = x.flatten(2).mean(-1)[:, :, None, None]
    torch.testing.assert_close(made(x), x * torch.sigmoid(squeeze(mean, weights)))


def test_cbam_by_its_equations() -> None:
    made = CBAM(8, 4, 3)
    x, weights = noise(2, 8, 5, 6), dict(made.state_dict())
    mean, most = x.flatten(2).mean(-1)[:, :, None, None], x.flatten(2).max(-1).values[:, :, None, None]
    x1 = x * torch.sigmoid(squeeze(mean, weights) + squeeze(most, weights))
    maps = torch.stack((x1.sum(1) / 8, x1.max(1).values), dim=1)
    torch.testing.assert_close(made(x), x1 * torch.sigmoid(conv(maps, weights, "place", padding=1)))


@pytest.mark.parametrize("name", ["se", "cbam"])
def test_in_the_socket_a_block_starts_as_the_identity_bit_for_bit_and_learns(name: str) -> None:
    made = RegisteredBlock(16, {"name": name})
    x = noise(2, 16, 6, 6)
    assert torch.equal(made(x), x)
    made(x).square().sum().backward()
    assert made.layer_scale is not None and made.layer_scale.grad is not None
    assert (made.layer_scale.grad != 0).all()
    with torch.no_grad():
        made.layer_scale.fill_(1)
    torch.testing.assert_close(made(x), made.block(x))


def test_with_official_initialisation_it_is_the_block_itself() -> None:
    made = RegisteredBlock(16, {"name": "se", "reduction": 2}, "official")
    x = noise(2, 16, 6, 6)
    assert torch.equal(made(x), made.block(x))
    assert made.layer_scale is None and len(made.block.state_dict()["weigh.0.bias"]) == 8


@pytest.mark.parametrize("size", [(4, 4), (7, 3)])
def test_costs_equal_the_built_blocks(size: tuple[int, int]) -> None:
    """By hand for SE(8, reduction 4): 8·2 + 2·8 products; parameters 8·2 + 2 + 2·8 + 8."""
    assert se_cost(8, size, 4) == (42, 32)
    assert se_cost(8, size, 4)[0] == sum(p.numel() for p in SqueezeExcitation(8, 4).parameters())
    assert cbam_cost(8, size, 4, 3)[0] == sum(p.numel() for p in CBAM(8, 4, 3).parameters())
    assert cbam_cost(8, size, 4, 3)[1] == 2 * 32 + 18 * size[0] * size[1]


MINE = """
from torch import Tensor, nn
from harness.blocks import register_block

def zero(block):
    block.mix.weight.zero_()
    block.mix.bias.zero_()

@register_block("mine", cost=lambda channels, map_size, kernel=3: (0, 0), identity=zero)
class Mine(nn.Module):
    def __init__(self, channels: int, kernel: int = 3) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)
    def forward(self, x: Tensor) -> Tensor:
        return x + self.mix(x)
"""


def test_a_block_of_ones_own_comes_from_its_own_file_with_its_own_identity(tmp_path: Path) -> None:
    file = tmp_path / "file_of_mine.py"
    file.write_text(MINE)
    import_block_file(file)
    import_block_file(file)
    assert "mine" in block_names()
    made = RegisteredBlock(4, {"name": "mine", "kernel": 5})
    x = noise(1, 4, 5, 5)
    assert made.layer_scale is None and torch.equal(made(x), x)
    assert made.block.mix.kernel_size == (5, 5)  # type: ignore[union-attr]
    assert type(made.block).__module__ == "file_of_mine"  # a checkpoint finds the class under this name


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("absent.py", None, "no such file of blocks"),
        ("broken.py", "1 / 0", r"cannot be imported \(ZeroDivisionError: division by zero\)"),
        ("torch.py", "", "a module named 'torch' is loaded already; rename the file"),
        (
            "taken.py",
            "from harness.blocks import register_block\n@register_block('se')\ndef other(channels): ...",
            "block 'se' is registered already, by harness.blocks.controls.SqueezeExcitation",
        ),
        (
            "bare.py",
            "from harness.blocks import register_block\n@register_block('b')\ndef other(channels, ratio): ...",
            "block 'b': its option 'ratio' needs a default",
        ),
        (
            "dashed.py",
            "from harness.blocks import register_block\n@register_block('my-block')\ndef other(channels): ...",
            "block 'my-block': a block's name is an identifier",
        ),
        (
            "none.py",
            "from harness.blocks import register_block\n@register_block('n')\ndef other(): ...",
            "block 'n': its first argument is the number of channels",
        ),
    ],
)
def test_what_registers_no_block_is_refused_in_a_sentence(
    name: str, text: str | None, sentence: str, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(BlockError, match=sentence):
        import_block_file(tmp_path / name)


def test_unknown_blocks_and_options_are_refused_with_the_known_ones() -> None:
    with pytest.raises(BlockError, match=r"no block 'no_such_block' is registered; there are: cbam, .*se"):
        block_entry("no_such_block")
    with pytest.raises(BlockError, match="block 'se' has no option 'ratio'; its options: reduction"):
        RegisteredBlock(8, {"name": "se", "ratio": 2})
    with pytest.raises(ValueError, match="init is 'zero'"):
        RegisteredBlock(8, {"name": "se"}, "zero")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="reduction is 0"):
        SqueezeExcitation(8, 0)
    with pytest.raises(ValueError, match="kernel_size is 4"):
        CBAM(8, 4, 4)


def test_a_function_can_build_a_block_too() -> None:
    @register_block("of_a_function")
    def build(channels: int) -> nn.Module:
        return nn.Conv2d(channels, channels, 1)

    assert isinstance(RegisteredBlock(4, {"name": "of_a_function"}).block, nn.Conv2d)
