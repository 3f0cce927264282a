"""Faults that a search has to survive, each put in at a random moment.

A further scenario is a decorated function (see `scenario`) in a module that is named here.
"""

from benchmarks.fault_checks import cluster, files, kills, losses, pairs, resources, shared, storage
from benchmarks.fault_checks.scenario import scenarios

__all__ = ["ALL", "cluster", "files", "kills", "losses", "pairs", "resources", "shared", "storage"]

ALL = scenarios()
"""All scenarios by name."""
