"""The commands of this project; `nox -s search` and `nox -s tests` are the two to begin with.

All sessions share one environment, `.nox/clo-nas`: torch is several GB and is installed once, by
whichever session runs first. A stamp of everything that determines the environment lets the next
session start at once. Why it is made like this: docs/decisions/0001-one-environment.md.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import nox
from filelock import FileLock  # comes with nox, by way of virtualenv

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["tests"]

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".nox" / "clo-nas"
STAMP = ENVIRONMENT / "installed"
UNDER_WAY = ENVIRONMENT / "install-under-way"
SCRIPTS = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
PYTHON = SCRIPTS / ("python.exe" if os.name == "nt" else "python")
DOWNLOAD = "about 3.1 GB to download on Linux (torch's CUDA build is 2.7 GB of it), 0.6 GB with CPU torch"

POSTGRES, RAY = "psycopg[binary]>=3.2", "ray>=2.40"
"""As in pyproject's extras: 5 and 80 MB to download, by the sessions that are asked to use them."""


@nox.session(venv_backend="none")
def search(session: nox.Session) -> None:
    """Search a space for better detectors: `nox -s search -- --help`."""
    _become_clo(session, "search", *session.posargs)


@nox.session(venv_backend="none")
def report(session: nox.Session) -> None:
    """Write a study's report anew: `nox -s report -- --help`."""
    _become_clo(session, "report", *session.posargs)


@nox.session(venv_backend="none")
def fidelity(session: nox.Session) -> None:
    """Measure whether short trainings rank as long ones do: hours of CPU, resumed where it stopped."""
    _become_clo(session, "fidelity", "--out", "results/reference/fidelity", *session.posargs)


@nox.session(venv_backend="none")
def ablate(session: nox.Session) -> None:
    """Train a model and everything that differs from it in one thing: `nox -s ablate -- --help`."""
    _become_clo(session, "ablate", *session.posargs)


@nox.session(venv_backend="none")
def reproduce(session: nox.Session) -> None:
    """Decide every claim of the article that this machine can decide: `nox -s reproduce -- --help`."""
    _become_clo(session, "reproduce", *session.posargs)


@nox.session(venv_backend="none")
def control(session: nox.Session) -> None:
    """Show that the instrument finds a planted effect, and nothing where there is none: `nox -s control -- --quick`."""
    _become_clo(session, "control", *session.posargs)


@nox.session(venv_backend="none")
def render(session: nox.Session) -> None:
    """Write the committed reports of results/reference anew from their tables, and the figures that READMEs quote."""
    _run(session, PYTHON, "docs/render.py")


@nox.session(venv_backend="none")
def clo(session: nox.Session) -> None:
    """Run any command of the program: `nox -s clo -- sites yolov8n`."""
    _become_clo(session, *session.posargs)


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Run all tests but those of `cluster`, the slow ones included; further arguments go to pytest."""
    alone = {"-n", "-s", "--pdb", "--collect-only"} & set(session.posargs)
    parallel = () if alone else ("-n", "auto", "--maxprocesses", "4", "--dist", "loadfile", "--no-loadscope-reorder")
    others = ("--ignore", "tests/cluster")  # has a session of its own
    _run(session, PYTHON, "-m", "pytest", *parallel, *others, *session.posargs)


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Check style, format, the direction of imports and the figures of the house."""
    _run(session, PYTHON, "-m", "ruff", "check", ".")
    _run(session, PYTHON, "-m", "ruff", "format", "--check", ".")
    _run(session, PYTHON, "-c", "from importlinter.cli import lint_imports_command as main; main()")
    _run(session, PYTHON, "benchmarks/house.py", "--check")


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Check types with mypy, strictly; further arguments go to mypy."""
    _run(session, PYTHON, "-m", "mypy", *session.posargs)


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """Print the benchmarks' tables; name files to run only those."""
    for file in session.posargs or sorted(map(str, Path("benchmarks").glob("*.py"))):
        _run(session, PYTHON, file)


@nox.session(venv_backend="none")
def browser(session: nox.Session) -> None:
    """Open reports in Chromium and use them; pictures go to .nox/screenshots. Chromium comes from the system."""
    _install(session)
    _add(session, "playwright>=1.50", "axe-playwright-python>=0.1.4")  # as in pyproject's extra `browser`
    pictures = ENVIRONMENT.parent / "screenshots"
    pictures.mkdir(exist_ok=True)
    arguments = ["-m", "pytest", "-p", "no:xdist", "tests/browser", *session.posargs]
    session.run(str(PYTHON), *arguments, env={"CLO_NAS_SCREENSHOTS": str(pictures)}, external=True)


@nox.session(venv_backend="none")
def cluster(session: nox.Session) -> None:
    """Search on machines that this one plays: a real PostgreSQL (the system's), a real Ray cluster; and one fault."""
    _install(session)
    _add(session, POSTGRES, RAY)
    session.run(str(PYTHON), "-m", "pytest", "-p", "no:xdist", "tests/cluster", *session.posargs, external=True)


@nox.session(venv_backend="none")
def fuzz(session: nox.Session) -> None:
    """Try 20,000 bad inputs, others each time; as many as `CLO_NAS_FUZZ` says: `nox -s fuzz -- --hypothesis-seed 1`."""
    _install(session)
    wanted = {"CLO_NAS_FUZZ": os.environ.get("CLO_NAS_FUZZ", "20000")}
    of_pytest = ["tests/fuzz", *session.posargs]
    session.run(str(PYTHON), "-m", "pytest", *of_pytest, env=wanted, external=True)


@nox.session(venv_backend="none")
def gpu(session: nox.Session) -> None:
    """Prove clo-nas on this machine's CUDA GPU, in ten minutes or `nox -s gpu -- --minutes 6`; without one: 2."""
    _run(session, PYTHON, "benchmarks/gpu.py", *session.posargs)


@nox.session(venv_backend="none")
def faults(session: nox.Session) -> None:
    """Kill searches, fill disks, damage databases at random moments, and look for what got lost: 16 minutes."""
    _install(session)
    _add(session, POSTGRES, RAY)
    _run(session, PYTHON, "benchmarks/faults.py", *session.posargs)


def _add(session: nox.Session, *requirements: str) -> None:
    """Install what only some sessions need; nothing is downloaded where it is there."""
    install = ["-m", "pip", "install", "--disable-pip-version-check", "--quiet", *requirements]
    session.run(str(PYTHON), *install, "--constraint", "constraints.txt", external=True)


def _run(session: nox.Session, program: Path, *arguments: str) -> None:
    """Run a program of the shared environment; Ctrl-C leaves it the time to end by itself."""
    _install(session)
    session.run(str(program), *arguments, external=True, interrupt_timeout=None)


def _become_clo(session: nox.Session, *arguments: str) -> None:
    """Let `clo` take nox's place, so that Ctrl-C, kill and the exit code are its own.

    Nox would kill it half a second after Ctrl-C, in the middle of the report, and turn every exit
    code into 1.
    """
    _install(session)
    if any(url.startswith("postgres") for url in _given(arguments, "--storage")):
        _add(session, POSTGRES)
    if "ray" in _given(arguments, "--executor"):
        _add(session, RAY)
    command = [str(PYTHON), "-m", "harness", *arguments]
    os.environ["CLO_NAS_PROGRAM"] = "nox -s clo --"  # what it prints can be typed
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "nt":
        sys.exit(subprocess.call(command))  # Windows has no exec that keeps the console
    os.execv(command[0], command)


def _given(arguments: Sequence[str], option: str) -> list[str]:
    """Return the values that an option is given, as `--option value` or `--option=value`."""
    apart = [value for name, value in pairwise(arguments) if name == option]
    return apart + [each.partition("=")[2] for each in arguments if each.startswith(f"{option}=")]


def _install(session: nox.Session) -> None:
    """Bring the shared environment up to date; nothing is run when it is.

    An install that was interrupted may have left packages half written that pip takes for whole,
    so that environment is made anew. The lock lets two first runs at once share one install.
    """
    if sys.version_info < (3, 11):  # noqa: UP036 - nox itself may run on an older Python
        session.error(f"clo-nas needs Python 3.11 or newer; nox runs on {platform.python_version()}")
    if _is_current():
        return
    ENVIRONMENT.parent.mkdir(exist_ok=True)
    with FileLock(ENVIRONMENT.with_suffix(".lock")):
        if _is_current():
            return
        if UNDER_WAY.exists() or not PYTHON.exists():
            session.log(f"Installing into {ENVIRONMENT.relative_to(ROOT)}, once: {DOWNLOAD}.")
            create = ["-m", "virtualenv", "--quiet", "--clear", "--no-periodic-update", str(ENVIRONMENT)]
            session.run(sys.executable, *create, external=True)
        else:
            session.log("The project's requirements have changed: updating the environment.")
        STAMP.unlink(missing_ok=True)
        UNDER_WAY.touch()
        install = ["-m", "pip", "install", "--disable-pip-version-check", "--editable", ".[dev]"]
        session.run(str(PYTHON), *install, "--constraint", "constraints.txt", external=True)
        STAMP.write_text(_fingerprint())
        UNDER_WAY.unlink()


def _is_current() -> bool:
    return PYTHON.exists() and STAMP.exists() and STAMP.read_text() == _fingerprint()


def _fingerprint() -> str:
    """Hash of what determines the environment: the requirements and where the clone lies."""
    files = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    return hashlib.sha256(b"\0".join([str(ROOT).encode(), *files])).hexdigest()
