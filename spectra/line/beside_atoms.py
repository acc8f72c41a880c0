"""The density right beside an atom, where equations lose their digits, from where they have them.

G has a pole at an atom, so that of the density at the distance d rounding leaves eps/d² open.  There
G = p/δ + A(δ) + B(δ) log δ for the law the atom comes from, A and B analytic, and z − a = δ (α + β δ log δ + …) by
subordination: the density is a series in d and d log d.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .._types import Array

# Distances that are looked at, in widths of the bulk: the farthest, and the share of it at which the nearest lies.
FARTHEST, NEAREST, COUNT = (1e-2, 3e-3, 1e-3, 3e-4), 1.0 / 30.0, 40
# Terms d^i log^j d, j ≤ i, up to i; the series stands for the density up to this share of the farthest.
DEGREE, HELD = 3, 0.1
# What a series that is one misses by, relative, where rounding leaves less.
FITS, ROUNDING = 1e-8, 1e-13
# What one degree more may change at the atom.
MOVED = 1e-3


@dataclass(frozen=True)
class BesideAtom:
    """A density beside an atom.

    Parameters
    ----------
    place : the atom.
    reach : distance up to which the series holds.
    noise : by how much it may be off, relative.
    scale, coefficients : of the series in d/scale.
    """

    place: float
    reach: float
    noise: float
    scale: float
    coefficients: Array

    def density(self, x: Array) -> Array:
        """ρ at x, nearer than `reach`."""
        # At the atom itself there is the limit.
        distance = np.maximum(np.abs(x - self.place), np.finfo(float).tiny)
        return _terms(distance / self.scale) @ self.coefficients


def beside_atom(
    density: Callable[[Array], tuple[Array, Array]], place: float, side: float, width: float
) -> BesideAtom | None:
    """The series beside `place` on one side (1 above it, −1 below), or None where the density is no such series.

    Parameters
    ----------
    density : x → ρ(x), NaN where it is not known, and what rounding leaves open of it, relative.
    width : of the bulk.
    """
    best: tuple[float, BesideAtom] | None = None
    for share in FARTHEST:
        farthest = share * width
        distance = np.geomspace(NEAREST * farthest, farthest, COUNT)
        rho, noise = density(place + side * distance)
        if not np.isfinite(rho).all():
            continue
        weights = 1.0 / (rho * (noise + ROUNDING))
        fitted, fewer = (
            np.linalg.lstsq(terms * weights[:, None], rho * weights, rcond=None)[0]
            for terms in (_terms(distance / farthest, degree) for degree in (DEGREE, DEGREE - 1))
        )
        missed = np.abs(_terms(distance / farthest) @ fitted / rho - 1.0)
        if np.all(missed < FITS + noise):
            # At the atom, by how much one degree more has moved it.
            moved = abs(fewer[0] / fitted[0] - 1.0)
            if moved < (best[0] if best else MOVED):
                noise = float(np.max(missed + noise))
                best = moved, BesideAtom(place, HELD * farthest, noise, farthest, fitted)
    return best[1] if best else None


def _terms(d: Array, degree: int = DEGREE) -> Array:
    log = np.log(d)
    return np.stack([d**i * log**j for i in range(degree + 1) for j in range(i + 1)], axis=-1)
