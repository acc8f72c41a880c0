"""What the pages of `spectra phase` beside the diagram say, as plain numbers: the spectrum along the curve, slopes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..network.expectations import gaussian_moments
from ..record import finite
from .along import SpectrumAlong
from .slopes import SlopeDistribution, slope_spread
from .universality import DepthScaling

# Quantiles of φ'(h) that are given, and how many points between its least and largest value its density has.
QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)
POINTS = 101


def along_record(runs: Sequence[SpectrumAlong], needed: DepthScaling, notes: list[str]) -> dict[str, Any]:
    """The spectrum along the curve as plain numbers, null where it is infinite or unknown, with `notes` added to."""
    missing: list[str] = []
    found = {
        "spectrum": [
            {
                "depth": one.depth,
                "weights": one.weights,
                "q_star": one.q_star,
                "variance": one.variance,
                "lambda_max": one.lambda_max,
                "condition": one.condition,
                "certified": one.certified.tolist(),
            }
            for one in runs
        ],
        "needed": {"spread": needed.spread, "depth": needed.depths.tolist(), "q_star": needed.q_star},
    }
    result = finite(found, missing)
    reasons = {
        "spectrum": "numbers of `spectrum` are null: infinite (condition), or a prediction gave up",
        "needed": "q_star of `needed` is null: no q* of the curve has this variance of JJᵀ",
    }
    notes += [words for top, words in reasons.items() if any(path.startswith(top) for path in missing)]
    return result


def slopes_record(laws: Sequence[SlopeDistribution], notes: list[str]) -> list[dict[str, Any]]:
    """The law of φ'(h) at every variance as plain numbers, null where a density is infinite, with `notes` added to."""
    missing: list[str] = []
    found = finite([_slopes(one) for one in laws], missing)
    if missing:
        notes.append("numbers of `slopes.density.pdf` are null: infinite, where φ' turns")
    return found


def _slopes(law: SlopeDistribution) -> dict[str, Any]:
    moments = gaussian_moments(law.activation).at(law.variance)
    low, high = law.support()
    # Points crowd towards the ends, where most densities diverge; the ends themselves are left out.
    angles = np.pi * np.arange(1, POINTS + 1) / (POINTS + 1)
    slopes = low + (high - low) * (0.5 - 0.5 * np.cos(angles)) if law.pieces else np.empty(0)
    return {
        "variance": law.variance,
        "support": [low, high],
        "atoms": [{"slope": slope, "mass": mass} for slope, mass in law.atoms],
        "mu_1": moments.slope2,
        "mu_2": moments.slope4,
        "spread": slope_spread(law.activation, law.variance),
        "quantiles": dict(zip(map(str, QUANTILES), law.icdf(QUANTILES).tolist(), strict=True)),
        "density": {"slope": slopes, "pdf": law.pdf(slopes), "cdf": law.cdf(slopes)},
    }
