"""`clo dashboard` shows a study in Optuna's dashboard: to read, on this machine only."""

from __future__ import annotations

import json
import socket
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness import cli_dashboard
from tests.cli.command_line import Clo, sentence


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}".encode()]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A dashboard that says what it is asked; the storages that it was given."""
    given: list[Any] = []

    def wsgi(storage: Any) -> Callable[..., Any]:
        given.append(storage)
        return application

    module = ModuleType("optuna_dashboard")
    vars(module)["wsgi"] = wsgi
    monkeypatch.setitem(sys.modules, "optuna_dashboard", module)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    return given


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def answer(url: str, method: str = "GET") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_without_the_extra_it_is_one_sentence_with_the_command(
    clo: Clo, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    said = sentence(clo("dashboard", "x"))
    command = f"{sys.executable} -m pip install 'optuna-dashboard>=0.21'"
    assert said == f"error: optuna-dashboard is not installed; do: {command}\n"


def test_it_serves_the_study_on_this_machine_and_only_to_read(
    clo: Clo, begun: Path, installed: list[Any], port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def serve(server: cli_dashboard._Server) -> None:
        """In place of `serve_forever`: two requests from another thread, then Ctrl-C."""
        url = f"http://127.0.0.1:{server.server_port}/api/studies"
        asking = threading.Thread(target=lambda: seen.update(get=answer(url), post=answer(url, "DELETE")))
        asking.start()
        server.timeout = 10
        server.handle_request()
        server.handle_request()
        asking.join()
        seen["address"] = server.server_address
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_dashboard._Server, "serve_forever", serve)
    said = clo("dashboard", "x", "--port", str(port), "--json")
    assert said.code == 130
    assert json.loads(said.out) == {"study": "x", "url": f"http://127.0.0.1:{port}/dashboard/"}
    assert seen["address"] == ("127.0.0.1", port)
    assert seen["get"] == (200, "GET /api/studies")
    assert seen["post"] == (405, '{"reason": "clo dashboard shows a study and changes nothing"}')
    [storage] = installed
    assert [study.study_name for study in storage.get_all_studies()] == ["x"]


@pytest.mark.parametrize(("options", "opened"), [((), 0), (("--open",), 1)])
def test_no_browser_is_opened_unless_asked_for(
    clo: Clo, begun: Path, installed: list[Any], port: int, monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...], opened: int,
) -> None:  # fmt: skip
    urls: list[str] = []
    monkeypatch.setattr("webbrowser.open", urls.append)
    monkeypatch.setattr(cli_dashboard._Server, "serve_forever", lambda _: None)
    clo("dashboard", "x", "--port", str(port), *options)
    assert urls == [f"http://127.0.0.1:{port}/dashboard/"] * opened


def test_a_port_in_use_is_a_sentence(clo: Clo, begun: Path, installed: list[Any]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        assert f"--port {number}: cannot be used" in sentence(clo("dashboard", "x", "--port", str(number)))


def test_a_study_that_is_not_there_is_a_sentence(clo: Clo, installed: list[Any]) -> None:
    assert "study absent: no " in sentence(clo("dashboard", "absent"))
