"""An ONNX file has the operators' version, the names and the properties that it is said to have."""

from __future__ import annotations

import onnx
import torch
from torch import Tensor, nn

from harness.latency.onnx_file import OPSET, onnx_file


class Two(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return 2 * x, {"raw": x}


def test_the_first_output_alone_is_in_it_for_one_shape() -> None:
    graph = onnx.load_model_from_string(onnx_file(Two(), torch.zeros(1, 3, 8, 6)))
    assert [entry.version for entry in graph.opset_import] == [OPSET]
    [given], [said] = graph.graph.input, graph.graph.output
    assert (given.name, said.name) == ("images", "output0")
    assert [side.dim_value for side in given.type.tensor_type.shape.dim] == [1, 3, 8, 6]


def test_it_says_of_itself_what_it_is_given() -> None:
    graph = onnx.load_model_from_string(onnx_file(Two(), torch.zeros(1, 3, 8, 6), {"names": {0: "a"}, "stride": 32}))
    assert {entry.key: entry.value for entry in graph.metadata_props} == {"names": "{0: 'a'}", "stride": "32"}
