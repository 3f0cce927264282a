"""Too little memory has many names."""

from __future__ import annotations

import pytest

from harness.errors import lacks_memory


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
