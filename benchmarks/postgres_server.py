"""A PostgreSQL server of one's own for as long as it is needed: on a free port of this machine, in a temporary folder.

It is the installed one (Debian's package `postgresql`), started anew and without a password; never one that
runs already. PostgreSQL refuses to run as root, so root lends it to the user `postgres` that the package brings.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

_SETTINGS = "fsync = off\nmax_connections = 200\nlisten_addresses = '127.0.0.1'\nlog_min_messages = warning\n"
_USER = "postgres"


def programs() -> Path | None:
    """The folder of the newest installed server's programs; None where there is none."""
    if (found := shutil.which("initdb")) is not None:
        folder = Path(found).resolve().parent
        if (folder / "psql").exists():
            return folder
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return folders[-1].parent if folders else None


class PostgresServer:
    """Runs while it is entered.

    Attributes:
        url: Optuna's storage on it.

    Raises:
        RuntimeError: No PostgreSQL is installed, or it does not start.
    """

    def __init__(self) -> None:
        folder = programs()
        if folder is None:
            raise RuntimeError("needs a PostgreSQL server: apt-get install postgresql")
        self._programs = folder
        self._folder = Path(tempfile.mkdtemp(prefix="clo-nas-postgres-"))
        self._data = self._folder / "data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"postgresql+psycopg://{_USER}@127.0.0.1:{self._port}/postgres"

    def __enter__(self) -> PostgresServer:
        if os.geteuid() == 0:
            os.chown(self._folder, pwd.getpwnam(_USER).pw_uid, pwd.getpwnam(_USER).pw_gid)
        self._run(
            "initdb",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            f"--username={_USER}",
            "--no-sync",
            f"--pgdata={self._data}",
        )
        settings = f"{_SETTINGS}port = {self._port}\nunix_socket_directories = '{self._folder}'\n"
        with (self._data / "postgresql.auto.conf").open("a") as file:
            file.write(settings)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._run("pg_ctl", "start", "--wait", f"--pgdata={self._data}", f"--log={self._folder / 'log'}")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast` ends its connections, `immediate` is as a crash."""
        self._run("pg_ctl", "stop", "--wait", f"--mode={mode}", f"--pgdata={self._data}", check=False)

    def refuse_writes(self, *, refuse: bool) -> None:
        """Let all new sessions only read, or write again; those that there are end."""
        value = "on" if refuse else "off"
        self.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}", "SELECT pg_reload_conf()")

    def execute(self, *statements: str) -> str:
        """Run SQL as the database's owner; what `psql` prints."""
        each = [word for sql in ("SET default_transaction_read_only = off", *statements) for word in ("-c", sql)]
        return self._run("psql", "-XqAt", "-h", "127.0.0.1", "-p", str(self._port), "-U", _USER, *each)

    def database(self, name: str) -> str:
        """The URL of a new, empty database."""
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self._port), "-U", _USER, name)
        return self.url.rpartition("/")[0] + f"/{name}"

    def _run(self, program: str, *arguments: str, check: bool = True) -> str:
        who = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"] if os.geteuid() == 0 else []
        done = subprocess.run(
            [*who, str(self._programs / program), *arguments],
            cwd=self._folder,
            stdout=subprocess.PIPE if program != "pg_ctl" else subprocess.DEVNULL,  # the server would keep a pipe open
            stderr=subprocess.STDOUT if program != "pg_ctl" else subprocess.DEVNULL,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
        if check and done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}: {done.stdout}")
        return done.stdout or ""
