"""The promises of conftest.py."""

from __future__ import annotations

import os
import socket
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
