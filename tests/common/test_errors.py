"""What a user is told is one line, whatever it quotes; too little memory has many names."""

from __future__ import annotations

import pytest

from harness.common.errors import MOST_LETTERS, UserError, lacks_memory


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("--base é: 漢字 × –", "--base é: 漢字 × –"),
        ("two\nlines", "two\\nlines"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        ("\udcff\0", "\\udcff\\x00"),
    ],
)
def test_what_is_a_command_to_a_terminal_is_shown_as_its_escape(message: str, shown: str) -> None:
    assert str(UserError(message)) == shown


def test_of_a_message_that_quotes_a_whole_file_the_middle_is_left_out() -> None:
    said = str(UserError("base m.yaml: " + "x" * 100_000 + "; give a list"))
    assert len(said) == MOST_LETTERS + 3
    assert said.startswith("base m.yaml: x") and said.endswith("x; give a list")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to …"),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("std::bad_alloc"),
        ImportError("cv2.abi3.so: failed to map segment from shared object"),
        RuntimeError("could not create a primitive"),
    ],
    ids=str,
)
def test_too_little_memory_is_known_by_all_its_names(error: Exception) -> None:
    assert lacks_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("memory"),
        RuntimeError("could not create a primitive descriptor for a convolution"),
        OSError(28, "No space left on device"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    ],
    ids=str,
)
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    assert not lacks_memory(error)
