"""`python -m harness` is the program `clo`; so is the installed script."""

from __future__ import annotations

import signal


def run() -> None:
    """Run `clo`; before and after it there is nothing to end in order, so that Ctrl-C needs no traceback."""
    is_pythons = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else it's ignored, or somebody's own
    if is_pythons:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from harness.cli.app import main

    if is_pythons:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main()
    finally:
        if is_pythons:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    run()
