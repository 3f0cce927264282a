"""The promises of conftest.py."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest


def test_a_connection_out_of_this_machine_is_refused() -> None:
    with socket.socket() as outgoing, pytest.raises(RuntimeError, match="reached for the network"):
        outgoing.connect(("192.0.2.1", 80))  # TEST-NET-1: nobody has this address


def test_a_connection_to_this_machine_is_allowed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.connect(server.getsockname())
        assert client.getpeername() == server.getsockname()


def test_caches_lie_outside_the_home_folder() -> None:
    for name in ("CLO_NAS_CACHE", "YOLO_CONFIG_DIR"):
        assert Path.home() not in Path(os.environ[name]).parents


RUN_A_MODEL = """
import onnx, onnxruntime
from onnx import TensorProto, helper
x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
print(session.get_outputs()[0].name)
"""


def test_onnx_runtime_leaves_no_identifier_in_the_home_folder(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", RUN_A_MODEL], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "y"
    assert list(tmp_path.rglob("*")) == []
