"""The tiny data set and the command that searches on it."""

from tests.search.conftest import clo, small_data, small_search

__all__ = ["clo", "small_data", "small_search"]
