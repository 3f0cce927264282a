"""A Ctrl-C that Python drops is raised at the next step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from harness.jobs.interrupts import Interrupts


@pytest.fixture(autouse=True)
def python_listens() -> Iterator[None]:
    """As in a terminal, whatever started the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Thing:
    """Something that can be referred to weakly."""


def press_in_a_finalizer() -> None:
    """Press Ctrl-C where Python ignores exceptions."""
    thing = Thing()
    reference = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGINT))
    del thing
    assert reference() is None


def test_a_dropped_ctrl_c_is_raised_at_the_next_check_and_leaves_no_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reported: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)
    with Interrupts() as interrupts:
        interrupts.check()
        press_in_a_finalizer()
        assert not reported
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()


def test_an_ordinary_ctrl_c_is_raised_at_once_and_the_old_handler_comes_back() -> None:
    with pytest.raises(KeyboardInterrupt), Interrupts():
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_within_another_one_both_know() -> None:
    with Interrupts() as outer, pytest.raises(KeyboardInterrupt), Interrupts() as inner:
        os.kill(os.getpid(), signal.SIGINT)
    assert outer.noted and inner.noted
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


STUBBORN = """
import signal, time
from harness.jobs.interrupts import Interrupts
with Interrupts(end_at_second=True):
    for said in ("listens", "once"):
        try:
            print(said, flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            pass
"""


def test_a_second_ctrl_c_ends_the_program_at_once_and_without_a_traceback() -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", STUBBORN], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert program.stdout is not None
    for said in ("listens", "once"):
        assert program.stdout.readline().strip() == said
        program.send_signal(signal.SIGINT)
    assert program.communicate(timeout=10) == ("", "")
    assert program.returncode == 130


def test_who_ignores_ctrl_c_goes_on_ignoring_it() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        interrupts.check()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
