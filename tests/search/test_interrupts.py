"""A Ctrl-C that Python drops is raised at the next step."""

from __future__ import annotations

import os
import signal
import sys
import weakref
from collections.abc import Iterator

import pytest

from harness.search.interrupts import Interrupts


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


def test_who_ignores_ctrl_c_goes_on_ignoring_it() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        interrupts.check()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
