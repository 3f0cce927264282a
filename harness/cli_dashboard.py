"""`clo dashboard`: Optuna's own views of a study."""

from __future__ import annotations

import importlib.util
import shlex
import socketserver
import sys
import webbrowser
import wsgiref.simple_server
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli_options import Json, Results, Storage, study_url
from harness.errors import UserError
from harness.printing import print_json

HOST = "127.0.0.1"
"""Nobody else in the network sees it: the dashboard knows no passwords."""
_READING = {"GET", "HEAD", "OPTIONS"}
App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def dashboard(
    study: Annotated[str, typer.Argument(help="Name of the study.")],
    port: Annotated[int, typer.Option(help="Port on this machine.", min=1, max=65535)] = 8080,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in the browser, too.")] = False,
    storage: Storage = None,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Show a study in optuna-dashboard, to read and on this machine only, until Ctrl-C; also while it is searched."""
    if importlib.util.find_spec("optuna_dashboard") is None:
        python = shlex.quote(sys.executable)  # under nox another one than `python`
        raise UserError(f"optuna-dashboard is not installed; do: {python} -m pip install 'optuna-dashboard>=0.21'")
    url = study_url(study, storage, results)
    from optuna_dashboard import wsgi

    from harness.records import load_record, open_storage

    load_record(url, study)  # says what there is, if this is not
    try:
        server = _Server((HOST, port), _Quiet)
    except OSError as error:
        raise UserError(f"--port {port}: cannot be used ({error.strerror}); choose another") from error
    with server:
        server.set_app(read_only(wsgi(open_storage(url))))
        address = f"http://{HOST}:{server.server_port}/dashboard/"
        if as_json:
            print_json({"study": study, "url": address})
        else:
            print(f"Study {study}: {address}\nCtrl-C ends it.", flush=True)
        if open_browser:
            webbrowser.open(address)
        server.serve_forever()


def read_only(app: App) -> App:
    """The application without all that changes a study: storage is the one truth that reports are made from."""

    def reading(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in _READING:
            return app(environ, start_response)
        start_response("405 Method Not Allowed", [("Content-Type", "application/json"), ("Allow", "GET, HEAD")])
        return [b'{"reason": "clo dashboard shows a study and changes nothing"}']

    return reading


class _Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


class _Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Requests are not worth a line."""
