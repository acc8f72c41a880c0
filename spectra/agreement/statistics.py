"""Mean and standard deviation of log s, extrapolated to infinite width."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..distances import ROUNDING, cuts_slopes, log_floor
from ..extrapolation import Intercept, extrapolate
from ..sampling import Ensemble
from ..shape import Shape, clip, shape_of_law, shape_of_samples
from .moments import finite_exp, fit, growth_of, linear_z, slope_interval
from .records import ShapeRecord

if TYPE_CHECKING:
    from ..prediction import Prediction

# At a width: mean over the networks and its standard error, of one statistic.
AtWidth = tuple[float, float] | None


def shape_records(
    pred: Prediction, ensembles: tuple[Ensemble, ...], h: np.ndarray, level: float
) -> tuple[tuple[ShapeRecord, ...], list[tuple[AtWidth, ...]]]:
    """Mean and standard deviation of log s, as far as they exist, against the prediction's; and both at every width."""
    log_clip = clip(pred.spectrum, min(e.log_singular_values.shape[1] for e in ensembles))
    log_clip = max(log_clip, log_floor(pred)) if cuts_slopes(pred) else log_clip
    law = shape_of_law(pred.spectrum, log_clip)
    found = [shape_of_samples(e.log_eigenvalues, log_clip) for e in ensembles]
    unit = float(h[0]) * ensembles[0].width

    def test(values: list[np.ndarray], expected: float, size: float) -> Intercept | None:
        """None where the statistic does not exist, here or in a sample."""
        if not all(np.isfinite(v).all() for v in values) or not math.isfinite(expected):
            return None
        return extrapolate([v - expected for v in values], size * h, level, 2 * ROUNDING, proportional=True)

    def record(name: str, expected: float, y: Intercept, size: float, *, logarithm: bool) -> ShapeRecord:
        """Make the record of y = statistic − expected, or of its logarithm; its bias is c_1 times `size` · h."""
        value = expected * math.exp(y.value) if logarithm else expected + y.value
        ends = (y.value - y.half_width, y.value + y.half_width)
        low, high = (expected * math.exp(min(end, 600.0)) if logarithm else expected + end for end in ends)
        return ShapeRecord(
            name=name,
            predicted=expected,
            value=value,
            standard_error=(value if logarithm else 1.0) * y.standard_error,
            z=linear_z(y) if logarithm else y.z,
            z_with_bias=y.z,
            limit=y.limit,
            detectable=growth_of(y) if logarithm else y.detectable,
            clipped_at=finite_exp(log_clip / 2),
            interval=(low, high),
            slope=y.slope * size * unit,
            slope_interval=slope_interval(y, size * unit),
            fit=fit(y, size * unit),
        )

    records = []
    spread = math.sqrt(law.variance)
    if (mean := test([s.mean / 2 for s in found], law.mean / 2, spread / 2)) is not None:
        records.append(record("mean of log s", law.mean / 2, mean, spread / 2, logarithm=False))
    if spread > ROUNDING:
        with np.errstate(divide="ignore"):
            sd = test([np.log(s.variance) / 2 for s in found], math.log(spread), 0.5)
        if sd is not None:
            records.append(record("sd of log s", spread / 2, sd, 0.5, logarithm=True))
    return tuple(records), [_at_width(s) for s in found]


def _at_width(shape: Shape) -> tuple[AtWidth, ...]:
    rows = (shape.mean / 2, np.sqrt(shape.variance) / 2)
    return tuple(
        (float(y.mean()), float(y.std(ddof=1) / math.sqrt(y.size))) if np.isfinite(y).all() else None for y in rows
    )
