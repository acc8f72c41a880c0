"""Where the perturbed resolvent has a pole outside of the law: outliers are counted by inertia and found one by one."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .._types import Array
from ..correlated.fixed_point import solve
from ..correlated.solution import SOLVED
from ..errors import ConvergenceError
from .overlaps import Overlaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..correlated.equation import BlockEquation
    from .passage import Passage

# Nodes of the law of a pivot, and more of them for the error.
COUNT, FINER = 12, 18
# Looked for from the edge on, but for this part of it, which is larger where the edge is that of a law that is nearly
# the right one; up to what the norms of the layers allow.
NEAREST = (1e-4, 1e-3, 1e-2)
# Steps of the way out, in log λ.
STRIDE = 3.0
# Outside of the bulk the solution is real, but for this.
REAL = 1e-8
# Two solutions are the same.
SAME = 1e-8
# Relative accuracy of an outlier in log λ, and of r_L over the paths.
ACCURACY, CLOSES = 1e-10, 1e-8


@dataclass(frozen=True)
class Outlier:
    """An eigenvalue λ of JJᵀ of every wide network, and the estimated relative error of it."""

    location: float
    error: float


def outliers(passages: Sequence[Passage], equation: BlockEquation, edge: float, leaving: float) -> tuple[Outlier, ...]:
    """Eigenvalues of JJᵀ above λ_+ = `edge` in the limit of infinite width, the largest first.

    det(1 − u JᵀJ) of the noise has the vectors U of `Overlaps` to its own: with W̃P + g zᵀ/|z|² for every W the matrix
    is T + U K Uᵀ, K made of blocks [[B, −1], [−1, A/s]], s the gain of W, the last entry 0 for Gaussian W. λ = 1/u is
    an outlier where det(1 + K H) = 0. As u grows from 0 to 1/λ_+ eigenvalues of K^{−1} + H that change sign count them.

    Parameters
    ----------
    passages : the layers.
    equation : of the same layers as blocks.
    edge : λ_+.
    leaving : r_L, which the paths must give.

    Raises
    ------
    ConvergenceError : the equation was not solved outside of the bulk, or the paths have another r_L.

    Accuracy
    --------
    Stated in `error`, from more nodes; 1e-9 as a rule. Nothing is told from the edge nearer than 1e-4 of it.

    Source
    ------
    Benaych-Georges, Nadakuditi, Adv. Math. 227 (2011), for outliers of low-rank perturbations; Bordenave, Capitaine,
    Commun. Pure Appl. Math. 69 (2016), for those of linearised polynomials. That the vectors are the signal's own, and
    their overlaps in the operator-valued resolvent, are this project's.
    """
    secular = _Secular(passages, equation, leaving)
    low = high = secular.beside(edge)
    before = after = secular.eigenvalues(high, COUNT)
    farthest = equation.log_range[0]
    # As u → 0 only products of an f with a later e are left, beside −1 of its own: half of all are negative.
    while np.sum(before < 0.0) != before.size // 2:
        if low < farthest:
            raise ConvergenceError("outliers: some were counted beyond what the norms of the layers allow")
        low -= STRIDE
        before = secular.eigenvalues(low, COUNT)
    found = []
    for index in np.flatnonzero(np.sign(before) != np.sign(after)):
        place, slope = secular.root(int(index), low, high)
        off = float(secular.eigenvalues(place, FINER)[index]) / slope
        found.append(Outlier(math.exp(-place), max(abs(off), ACCURACY)))
    return tuple(sorted(found, key=lambda outlier: -outlier.location))


class _Secular:
    """Eigenvalues of K^{−1} + H at u = e^t."""

    def __init__(self, passages: Sequence[Passage], equation: BlockEquation, leaving: float) -> None:
        self.equation, self.leaving = equation, leaving
        self._gains = [float(gain) for block in equation.blocks for gain in block.gains]
        self._haar = [bool(haar) for block in equation.blocks for haar in block.haar]
        self._overlaps = {count: Overlaps(passages, count) for count in (COUNT, FINER)}
        self._known: dict[float, tuple[Array, Array]] = {}

    def eigenvalues(self, t: float, count: int, *, nearby: bool = False) -> Array:
        """Ascending, (2K,); `nearby`: the equation is solved from where it was solved before."""
        u = math.exp(t)
        a, b = self._solved(u, nearby=nearby)
        forms, second = self._overlaps[count].at(math.sqrt(u), a, b)
        if not abs(second / self.leaving - 1.0) < CLOSES:
            raise ConvergenceError(f"outliers: E x² is off by {second / self.leaving - 1.0:.1e} over the paths")
        for k, (near, far, gain, haar) in enumerate(zip(a, b, self._gains, self._haar, strict=True)):
            own = slice(2 * k, 2 * k + 2)
            corner = near / gain if haar else 0.0
            forms[own, own] += np.linalg.inv(np.array([[far, -1.0], [-1.0, corner]]))
        return np.linalg.eigvalsh(forms)

    def beside(self, edge: float) -> float:
        """Log u just outside of the bulk."""
        for part in NEAREST[:-1]:
            t = -math.log(edge) + math.log1p(-part)
            with suppress(ConvergenceError):
                self._solved(math.exp(t))
                return t
        return -math.log(edge) + math.log1p(-NEAREST[-1])

    def root(self, index: int, low: float, high: float) -> tuple[float, float]:
        """Log u where eigenvalue `index` is 0, and its slope there."""
        from scipy.optimize import brentq

        known: dict[float, float] = {}

        def at(t: float) -> float:
            known[t] = float(self.eigenvalues(t, COUNT, nearby=True)[index])
            return known[t]

        place: float = brentq(at, low, high, xtol=0.1 * ACCURACY)  # type: ignore[assignment]
        at(place)
        self._prove(math.exp(place))
        # The last of Brent's points lie too near for a difference.
        far = min((t for t in known if abs(t - place) > 1e-6), key=lambda t: abs(t - place))
        return place, (known[far] - known[place]) / (far - place)

    def _start(self, u: float) -> Array:
        """Unknowns on the line in log u through the two nearest places known, (1, 2K)."""
        near = sorted(self._known, key=lambda v: abs(math.log(v / u)))[:2]
        rows = [np.concatenate(self._known[v]) for v in near]
        if len(near) == 1:
            return rows[0][None].astype(complex)
        part = math.log(u / near[0]) / math.log(near[1] / near[0])
        return (rows[0] + part * (rows[1] - rows[0]))[None].astype(complex)

    def _prove(self, u: float) -> None:
        """That what was found at u on the axis is what is reached from below, where there is one solution alone."""
        before = np.concatenate(self._known.pop(u))
        again = np.concatenate(self._solved(u))
        if not np.max(np.abs(again - before)) < SAME * np.max(np.abs(again)):
            raise ConvergenceError(f"outliers: the equation has another solution at λ = {1.0 / u:.6g}, which was taken")

    def _solved(self, u: float, *, nearby: bool = False) -> tuple[Array, Array]:
        if u in self._known:
            return self._known[u]
        found = solve(self.equation, np.array([u], complex), self._start(u) if nearby else None)
        parts: list[Array] = np.split(found.x[0], 2)
        off = max(float(np.abs(x.imag).max() / np.abs(x).max()) for x in parts)
        if not (found.residual[0] < SOLVED and off < REAL):
            raise ConvergenceError(f"outliers: the equation was not solved at λ = {1.0 / u:.6g}, outside of the bulk")
        self._known[u] = parts[0].real, parts[1].real
        return self._known[u]
