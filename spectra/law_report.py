"""What `spectra law` says of a law: support, atoms, moments, free cumulants, density, and how well that was found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from .distribution import Distribution
from .exact.chain import cumulants_from_moments
from .exact.power_series import fractions_of, rationals
from .law import Law
from .record import SCHEMA, density_points, finite


@dataclass(frozen=True)
class LawReport:
    """A law, its moments as fractions, and the record of both.

    Parameters
    ----------
    law : any.
    text : how it was written.
    order : number of moments and free cumulants.
    at : where to give the density; without it `points` points over the bulks.
    """

    law: Law
    text: str
    order: int = 6
    at: Sequence[float] | None = None
    points: int = 400

    @cached_property
    def spectrum(self) -> Distribution:
        """The law on the real axis."""
        return self.law.spectrum()

    @cached_property
    def moments(self) -> list[Fraction]:
        """m_1 … m_order; exact where `law.is_rational`."""
        return fractions_of(self.law.moment_list(rationals(), max(self.order, 2)))

    @cached_property
    def free_cumulants(self) -> list[Fraction]:
        """κ_1 … κ_order."""
        return fractions_of(cumulants_from_moments(rationals(), self.moments))

    @cached_property
    def record(self) -> dict[str, Any]:
        """The JSON object of `spectra law`."""
        law, order = self.spectrum, self.order
        where = np.asarray(self.at, float) if self.at is not None else density_points(law, self.points)
        second = self.moments[1] - self.moments[0] ** 2
        record = {
            "schema": SCHEMA,
            "law": self.text,
            "support": law.bulks,
            "atoms": [[atom.location, atom.mass] for atom in law.atoms],
            "mean": _double(self.moments[0]),
            "variance": _double(second),
            "exact": self.law.is_rational,
            "moments": [_double(m) for m in self.moments[:order]],
            "free_cumulants": [_double(k) for k in self.free_cumulants[:order]],
            "density": {"x": list(self.at) if self.at is not None else where, "pdf": law.pdf(where)},
            "checks": {
                "residual": self.law.residual,
                "mass_defect": law.total_mass - 1.0,
                "moment_defects": self._moment_defects(),
            },
        }
        if self.law.is_rational:
            record["moments_exact"] = [str(m) for m in self.moments[:order]]
            record["free_cumulants_exact"] = [str(k) for k in self.free_cumulants[:order]]
        missing: list[str] = []
        record = finite(record, missing)
        diverges = [f"`{path}` is null: {_why(path)}." for path in dict.fromkeys(missing)]
        record["checks"]["notes"] = [*self.law.notes, *diverges]
        return record

    def _moment_defects(self) -> list[float]:
        """By how much the density's m_1 … m_4 miss the series', relative to E |x|^k or its like."""
        law = self.spectrum
        reach = max(abs(end) for end in law.support())
        reach = reach if math.isfinite(reach) else max(abs(end) for end in law.effective_support)
        x, weights = law.quadrature()
        found = []
        for k, moment in enumerate(self.moments[: min(self.order, 4)], 1):
            value = float(x**k @ weights) + sum(atom.mass * atom.location**k for atom in law.atoms)
            scale = max(abs(float(moment)), 1e-3 * reach**k) or 1.0
            found.append((value - float(moment)) / scale)
        return found


def _why(path: str) -> str:
    return "the density diverges there" if path.startswith("density") else "infinite, or beyond the range of doubles"


def _double(x: Fraction) -> float:
    try:
        return x.numerator / x.denominator
    except OverflowError:
        return float("inf")
