"""Faults that a search has to survive, each put in at a random moment.

A further scenario is a decorated function (see `scenario`) in a module that is named here.
"""

from benchmarks.fault_checks import files, kills, losses, pairs, resources, storage
from benchmarks.fault_checks.scenario import scenarios

__all__ = ["ALL", "files", "kills", "losses", "pairs", "resources", "storage"]

ALL = scenarios()
"""All scenarios by name."""
