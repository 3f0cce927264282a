"""What every family costs at every scale, beside Ultralytics' own count. One table, the whole difference explained.

Ultralytics counts with THOP: twice the multiply-accumulates, and twice four operations for each element that a
norm reads. So

    theirs = 2 · ours + 8 · elements that batch, group and layer norms read

and the last column, what this leaves unexplained, is 0 (tests/cost/test_ultralytics_count.py proves it for small
models). Fused, a model has no batch norm left.

    python benchmarks/families.py --write docs/models.md
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from torch import nn
from ultralytics.utils.torch_utils import get_flops, get_num_params

from harness.cost.counts import Cost, model_cost
from harness.detectors import resolve_base
from harness.detectors.description import silence

FAMILIES = (
    *(f"{family}{scale}" for family in ("yolov5", "yolov8", "yolo11", "yolo26") for scale in "nsmlx"),
    *("yolov7-tiny", "yolov7", "cloformer-xxs", "cloformer-xs", "cloformer-s"),
)
IMGSZ = 640
_FVCORE_PER_ELEMENT = {"batch_norm": 2, "group_norm": 5, "layer_norm": 5}
"""Operations that fvcore counts for each element of an affine norm in eval mode."""
_THOP_PER_ELEMENT = 4
"""What THOP adds to its MACs for each element that an affine norm reads."""
BEGIN, END = "<!-- table: benchmarks/families.py -->", "<!-- end of table -->"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model at one image size.

    Attributes:
        name: Model.
        cost: Our count, in eval mode, not fused.
        fused: Our count after `model.fuse()`.
        their_params: Ultralytics' count of parameters.
        their_flops: Ultralytics' operations, not fused.
    """

    name: str
    cost: Cost
    fused: Cost
    their_params: int
    their_flops: int

    @property
    def norm_flops(self) -> int:
        """What Ultralytics counts for norms, and we do not."""
        return 2 * _THOP_PER_ELEMENT * normalised_elements(self.cost)

    @property
    def unexplained(self) -> int:
        """What neither products nor norms account for."""
        return self.their_flops - self.cost.flops - self.norm_flops

    def cells(self) -> list[str]:
        """The row of the table."""
        return [
            self.name,
            f"{self.cost.params:,}",
            f"{self.their_params - self.cost.params:,}",
            f"{self.cost.macs / 1e9:.3f}",
            f"{self.their_flops / 1e9:.3f}",
            f"{self.cost.flops / 1e9:.3f}",
            f"{self.norm_flops / 1e9:.3f}",
            f"{self.unexplained:,}",
            f"{self.fused.params:,}",
            f"{self.fused.macs / 1e9:.3f}",
        ]


HEADS = (
    "model",
    "parameters",
    "theirs − ours",
    "MACs, G",
    "Ultralytics' GFLOPs",
    "= 2 · MACs",
    "+ norms",
    "+ unexplained",
    "parameters, fused",
    "MACs, fused, G",
)


def normalised_elements(cost: Cost) -> int:
    """Elements that the norms of a model read, from fvcore's count of their operations."""
    return sum(cost.elementwise.get(norm, 0) // each for norm, each in _FVCORE_PER_ELEMENT.items())


def count(model: nn.Module, imgsz: int) -> tuple[Cost, int]:
    """Our cost of a model as it stands, and Ultralytics' operations."""
    return model_cost(model, imgsz), round(get_flops(model, imgsz) * 1e9)


def measure(name: str, imgsz: int = IMGSZ) -> Row:
    """Count one model twice, by both tools; fused by ours alone."""
    model = resolve_base(name).build().eval()
    cost, their_flops = count(model, imgsz)
    with silence():
        fused = copy.deepcopy(model).fuse(verbose=False)
    return Row(
        name=name,
        cost=cost,
        fused=model_cost(fused, imgsz),
        their_params=get_num_params(model),
        their_flops=their_flops,
    )


def main(
    models: Annotated[list[str] | None, typer.Argument(help="Models to count; all families by default.")] = None,
    write: Annotated[Path | None, typer.Option(help="Markdown file whose table is renewed.")] = None,
) -> None:
    """Print the table, and write it where asked."""
    lines = [_line(HEADS), _line(["---", *["---:"] * (len(HEADS) - 1)])]
    print("\n".join(lines), flush=True)
    for name in models or FAMILIES:
        lines.append(_line(measure(name).cells()))
        print(lines[-1], flush=True)
    if write:
        before, _, rest = write.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        table = "\n".join([BEGIN, "", *lines, "", END])
        write.write_text(f"{before}{table}{after}", encoding="utf-8")


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    typer.run(main)
