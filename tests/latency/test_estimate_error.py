from __future__ import annotations

import numpy as np
import pytest

from harness.common.errors import UserError
from harness.latency.table import Calibration


def test_a_table_that_is_right_up_to_offset_and_factor_has_no_error() -> None:
    added = np.array([0.1, 0.2, 0.3, 0.5, -0.1])
    found = Calibration(added=added, measured=1.02 + 1.5 * added)
    assert found.fit == pytest.approx((0.02, 1.5))
    assert (found.bias, found.rmse, found.max_error) == pytest.approx((0, 0, 0), abs=1e-12)
    assert (found.kendall, found.spearman) == pytest.approx((1, 1))


def test_each_estimate_is_fitted_to_the_others() -> None:
    # Without the outlier the others lie on 1 + x; all four with it on 1 + x, + 0.4 for the last.
    added = np.array([0.0, 0.1, 0.2, 0.3])
    measured = np.array([1.0, 1.1, 1.2, 1.7])
    found = Calibration(added=added, measured=measured)
    assert found.estimated[3] == pytest.approx(1.3)
    # In closed form: the residual of the fit to all over 1 - leverage; leverages of 4 even points 0.7, 0.3, 0.3, 0.7.
    slope = ((added - 0.15) @ measured) / ((added - 0.15) @ (added - 0.15))
    residuals = measured - (measured.mean() + slope * (added - 0.15))
    assert measured - found.estimated == pytest.approx(residuals / (1 - np.array([0.7, 0.3, 0.3, 0.7])))


def test_the_summary_is_that_of_the_errors() -> None:
    found = Calibration(added=np.array([0.0, 0.1, 0.2, 0.3]), measured=np.array([1.0, 1.1, 1.2, 1.7]))
    # The line nearest to (0.1, 1.1), (0.2, 1.2), (0.3, 1.7) has slope 3 and passes 4/3 at 0.2: at 0 it is 11/15.
    estimated = [
        np.polyval(np.polyfit(np.delete(found.added, i), np.delete(found.measured, i), 1), found.added[i])
        for i in range(4)
    ]
    assert estimated[0] == pytest.approx(11 / 15) and estimated[3] == pytest.approx(1.3)
    errors = np.array(estimated) / found.measured - 1
    assert found.bias == pytest.approx(sum(errors) / 4)
    assert found.rmse == pytest.approx((sum(error**2 for error in errors) / 4) ** 0.5)
    assert found.max_error == pytest.approx(max(abs(error) for error in errors))
    assert found.to_dict() == {
        "architectures": 4,
        "offset": found.fit[0],
        "factor": found.fit[1],
        "bias": found.bias,
        "rmse": found.rmse,
        "max_error": found.max_error,
        "kendall": found.kendall,
        "spearman": found.spearman,
    }


def test_order_is_told_by_pairs() -> None:
    added = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    measured = np.array([1.1, 1.2, 1.3, 1.5, 1.4, 1.6])  # 1 of 15 pairs is the other way about
    found = Calibration(added=added, measured=measured)
    assert found.kendall == pytest.approx((14 - 1) / 15)
    assert found.spearman == pytest.approx(1 - 6 * 2 / (6 * 35))


def test_too_few_architectures_have_no_error() -> None:
    with pytest.raises(UserError, match="3 architectures to calibrate on; 4 or more do"):
        Calibration(added=np.arange(3.0), measured=np.ones(3))
