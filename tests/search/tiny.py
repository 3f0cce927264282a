"""A table whose answers are known by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd

from harness.search.table import Table

TINY = Table(
    name="tiny.csv",
    parameters=pd.DataFrame({"depth": [1, 2, 3, 4, 1], "kind": ["a", "a", "a", "a", "b"]}),
    accuracy=np.array([0.1, 0.5, 0.7, 0.6, 0.4]),
    cost=np.array([1.0, 2.0, 4.0, 8.0, 2.0]),
)
"""The front is rows 0 to 2; row 0 is the reference accuracy and row 3 the reference cost, so that they add nothing.
Of depths 2 to 4 the kind b is missing."""
