"""Run in every Python process of a test that wants to know who reached for the network: notes it and refuses."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

_NOTES = os.environ.get("CLO_NAS_TEST_REACHED")
_HERE = ("127.", "::1", "localhost", "0.0.0.0", "/")


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"} or not _NOTES:
        return
    address = arguments[0] if event.startswith("socket.get") else arguments[1]
    host = address[0] if isinstance(address, tuple) else address
    host = host.decode(errors="replace") if isinstance(host, bytes) else str(host or "localhost")
    if not host.startswith((*_HERE, "\0")):
        with Path(_NOTES).open("a", encoding="utf-8") as notes:
            notes.write(f"{event} {host}\n")
        raise OSError(f"no network in this test: {event} {host}")


sys.addaudithook(_refuse)
