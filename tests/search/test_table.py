from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import moocore
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.common.errors import UserError
from harness.search.table import Table, read_table
from tests.search.tiny import TINY

FRAME = pd.DataFrame({"x": [1, 1, 2], "kind": ["a", "b", "a"], "score": [0.1, 0.2, 0.3], "ms": [1.0, 2.0, 4.0]})


def read(folder: Path, frame: pd.DataFrame, parameters: Sequence[str] = ("x", "kind")) -> Table:
    path = folder / "mine.csv"
    frame.to_csv(path, index=False)
    return read_table(path, parameters=parameters, maximize="score", minimize="ms")


def refused(folder: Path, frame: pd.DataFrame, parameters: Sequence[str] = ("x", "kind")) -> str:
    with pytest.raises(UserError) as caught:
        read(folder, frame, parameters)
    message = str(caught.value)
    assert message.startswith(f"table {folder / 'mine.csv'}: ") and "\n" not in message
    return message


def test_a_table_is_its_rows(tmp_path: Path) -> None:
    table = read(tmp_path, FRAME)
    assert table.name == "mine.csv"
    assert table.parameters.to_dict("list") == {"x": [1, 1, 2], "kind": ["a", "b", "a"]}
    assert table.accuracy.tolist() == [0.1, 0.2, 0.3] and table.cost.tolist() == [1, 2, 4]
    assert {name: each.choices for name, each in table.distributions.items()} == {"x": (1, 2), "kind": ("a", "b")}


def test_candidates_are_the_rows_at_the_cost_that_is_believed(tmp_path: Path) -> None:
    candidates = read(tmp_path, FRAME).candidates(np.array([5.0, 6.0, 7.0]))
    assert candidates.code({"kind": "a", "x": 2}) == [2]
    assert candidates.code({"kind": "b", "x": 2}) is None
    assert candidates.cost(np.array([[2], [0]])).tolist() == [7, 5]


def test_what_lacks_an_objective_or_a_parameter_is_left_out(tmp_path: Path) -> None:
    more = pd.DataFrame(
        {"x": [3, 4, 5, None], "kind": ["a", "a", None, "a"], "score": [None, 0.5, 0.6, 0.7], "ms": [1, np.inf, 3, 4]}
    )
    table = read(tmp_path, pd.concat([FRAME, more]))
    assert table.cost.tolist() == [1, 2, 4]


def test_rows_that_differ_in_seed_alone_are_readings_of_one_model(tmp_path: Path) -> None:
    """As in a study's trials.csv: latency is measured with the first seed, and a failure has no accuracy."""
    trials = pd.DataFrame(
        [
            ("baseline", 0, 0.4, 4.0), ("baseline", 1, 0.6, None), ("a1", 0, 0.7, 5.0), ("b2", 0, None, 5.0),
            ("c3", 0, None, 6.0), ("c3", 0, 0.8, 6.0),
        ],
        columns=["architecture", "seed", "score", "ms"],
    )  # fmt: skip
    table = read(tmp_path, trials, ["architecture"])
    assert table.parameters.architecture.tolist() == ["baseline", "a1", "c3"]
    assert table.accuracy.tolist() == [0.5, 0.7, 0.8] and table.cost.tolist() == [4, 5, 6]


def test_a_seed_may_be_a_parameter(tmp_path: Path) -> None:
    assert read(tmp_path, FRAME.rename(columns={"x": "seed"}), ["seed", "kind"]).cost.tolist() == [1, 2, 4]


@pytest.mark.parametrize(
    ("frame", "parameters", "said"),
    [
        (FRAME, ["x"], "two rows have x 1; name all columns that tell models apart"),
        (FRAME.assign(seed=0), ["x"], "two rows have x 1, seed 0; name all columns that tell models apart"),
        (FRAME, ["x", "depth"], "no column depth; its columns: x, kind, score, ms"),
        (FRAME, ["x", "kind", "ms"], "x, kind, ms, score, ms: name parameters and both objectives, each once"),
        (FRAME, [], "score, ms: name parameters and both objectives, each once"),
        (FRAME.assign(ms="fast"), ["x", "kind"], "column ms holds no numbers"),
        (FRAME.assign(score=True), ["x", "kind"], "column score holds no numbers"),
        (FRAME.head(1), ["x", "kind"], "of 1 usable models none is better than the worst in both score and ms"),
        (FRAME.assign(ms=1.0), ["x", "kind"], "of 3 usable models none is better than the worst in both score and ms"),
    ],
)
def test_what_cannot_be_replayed_is_one_sentence(
    tmp_path: Path, frame: pd.DataFrame, parameters: list[str], said: str
) -> None:
    assert refused(tmp_path, frame, parameters).endswith(said)


def test_a_cost_of_0_was_not_measured(tmp_path: Path) -> None:
    with_zero = pd.concat([FRAME, FRAME.head(1).assign(x=9, ms=0.0)])
    assert read(tmp_path, with_zero, ["x", "kind"]).cost.tolist() == FRAME["ms"].tolist()


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "no such file"), (b"", "cannot be read as CSV"), (b"\xff", "cannot be read as CSV")],
)
def test_what_is_no_csv_is_one_sentence(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "mine.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=said):
        read_table(path, parameters=["x"], maximize="score", minimize="ms")


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read as CSV"):
        read_table(tmp_path, parameters=["x"], maximize="score", minimize="ms")


def test_the_share_of_a_table_by_hand() -> None:
    # log2 costs 0 … 3, reference (3, 0.1); front (0, 0.1), (1, 0.5), (2, 0.7): 2 · 0.4 + 1 · 0.2 = 1
    assert TINY.share([0, 1, 2, 3, 4]) == 1
    assert TINY.share([1]) == pytest.approx(0.8)
    assert TINY.share([2]) == pytest.approx(0.6)
    assert TINY.share([1, 4]) == pytest.approx(0.8)
    assert TINY.share([]) == TINY.share([0]) == TINY.share([3]) == 0


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.1, 100)), min_size=3, max_size=20), st.data())
def test_shares_are_moocores(points: list[tuple[float, float]], data: st.DataObject) -> None:
    accuracy, cost = np.array(points).T
    parameters = pd.DataFrame({"x": range(len(points))})
    table = Table(name="", parameters=parameters, accuracy=accuracy, cost=cost)
    rows = data.draw(st.lists(st.integers(0, len(points) - 1), min_size=1))
    scaled = np.column_stack([np.log(cost), -accuracy])
    worst = scaled.max(axis=0)
    whole = moocore.hypervolume(scaled, ref=worst)
    if whole > 1e-9:
        assert table.share(rows) == pytest.approx(moocore.hypervolume(scaled[rows], ref=worst) / whole, abs=1e-6)
