"""Along the edge of chaos: the largest q* at which a number of the spectrum keeps to its bound."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import ConfigError, ConvergenceError
from ..network.config import Network
from ..network.expectations import gaussian_moments
from ..network.initialised import kind_of
from ..network.schema import CRITICAL
from ..network.zeros import bracketed_zero
from .placed import placed
from .targets import LOST, Target

# What tuning chooses, and so takes out of a configuration.
CHOSEN = ("sigma_w", "sigma_b", "q_star", "init")
# A deviation of the variance from q* may grow by this factor over the depth, where the fixed point repels it.
DRIFT = 2.0
_FINE = np.concatenate([np.geomspace(1e4, 1e-12, 65), np.geomspace(1e-14, 1e-24, 6)])
_COARSE = np.concatenate([np.geomspace(1e2, 1e-12, 15), np.geomspace(1e-14, 1e-24, 3)])
# Below this laws are so narrow that spectra cost a hundred times as much and say nothing new.
_LEAST_WITH_SPECTRUM = 1e-8
_NEXT_TO_NOTHING = 1.01
_CLIP = 700.0


@dataclass(frozen=True)
class Found:
    """What the search along the curve found.

    Parameters
    ----------
    reachable : whether some q* keeps to the bound.
    network : the network at the q* chosen: the largest where the number crosses its bound from below, or the one
        nearest to 1 where the bound never binds, or the one that comes nearest to it; None without an edge of chaos.
    q_star, value : that q*, and the number there.
    exact : the number equals its bound there.
    stable : whether variances near q* stay near it.
    least : the least number found on the way; where the bound is out of reach, the least anywhere on the curve.
    why_not : where there is no edge of chaos, why; else None.
    """

    reachable: bool
    network: Network | None
    q_star: float | None
    value: float
    exact: bool
    stable: bool
    least: float
    why_not: str | None = None


def critical_family(keys: Mapping[str, Any] | Network) -> Network:
    """The network of `keys` on the edge of chaos, with q* still to choose: `replace(q_star=…)` does.

    σ_w, σ_b, q* and an init that are given are set aside, in every layer.

    Raises
    ------
    ConfigError : the other keys do not describe a network.
    """
    from ..network.fields import checked

    given = checked(keys._given if isinstance(keys, Network) else keys)
    given = _open(given) | ({"layers": [_open(layer) for layer in given["layers"]]} if "layers" in given else {})
    return Network(**given, sigma_w=CRITICAL, q_star=1.0)


def _open(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table without what tuning chooses; of an init the kind of weights stays."""
    kind = {"weights": kind_of(table["init"])} if "init" in table else {}
    return kind | {key: value for key, value in table.items() if key not in CHOSEN}


def search(family: Network, target: Target, *, coarse: bool = False) -> Found:
    """Largest q* ∈ [1e-24, 1e4] at which the number of `target` keeps to its bound.

    Parameters
    ----------
    family : from `critical_family`.
    coarse : one trial a decade instead of four, up to 100.

    Returns
    -------
    Found. Trials go down from the largest q*; between the first that keeps to the bound and the one before it lies the
    root of a function of log q*, which is verified. Fixed points from which variances move away by more than a factor
    of 2 over the depth are taken only where no other keeps to the bound.

    Notes
    -----
    `spectra.critical_point_of_spread`, from below, has the q* under which the variance of equal layers stays small
    throughout: this search goes on where it falls again.

    Accuracy
    --------
    The number equals its bound to 1e-9 relative (variance), 1e-8 (s_max, gradient), 1e-6 (condition).
    """
    trials = _COARSE if coarse else _FINE
    if target.kind != "variance":
        trials = trials[trials > _LEAST_WITH_SPECTRUM]
    scale_free = all(gaussian_moments(spec.activation).scale_free is not None for spec in family.layers)
    if scale_free or (target.kind in ("condition", "gradient") and _lost(family) > LOST):
        # Nothing depends on q*, or the number is infinite whatever it is: one trial says all.
        trials = np.ones(1)
    line = _Line(family, target)
    steady = [q for q in trials.tolist() if line.stable(q)]
    for allowed in (steady, trials.tolist()) if len(steady) < trials.size else (steady,):
        before: float | None = None
        for q in allowed:
            value = line.number(q)
            if target.met(value):
                return line.found(*(line.chosen(q, before) if before is not None else (line.nearest(allowed), False)))
            before = None if math.isnan(value) else q
    if not math.isfinite(line.least):
        # Nothing to show of it, or the number is infinite everywhere: then any q* is as good as another.
        shown = [q for q in trials.tolist() if not math.isnan(line.number(q))]
        if not shown:
            return Found(False, None, None, math.inf, False, False, math.inf, line.why_not or "no q* could be computed")
        return replace(line.found(min(shown, key=lambda q: abs(math.log(q))), False), reachable=False)
    # As near as one gets is as a rule q* → 0: a larger one that costs next to nothing is of more use.
    near = next(q for q in trials.tolist() if line.number(q) <= line.least * _NEXT_TO_NOTHING)
    return replace(line.found(near, False), reachable=False)


def _lost(family: Network) -> float:
    """Share of output directions that the widths alone leave without a gradient."""
    widths = family.widths or (1,)
    return 1.0 - min(widths) / widths[-1]


class _Line:
    """The edge of chaos with q* as its coordinate, and the number of the target on it."""

    def __init__(self, family: Network, target: Target) -> None:
        self.family, self.target = family, target
        self.why_not: str | None = None
        self._failed = False
        self._known: dict[float, float] = {}

    def at(self, q: float) -> Network:
        """The network at one q*."""
        return placed(self.family, q)

    def number(self, q: float) -> float:
        """The number at one q*; NaN off the curve, and where it cannot be computed."""
        if q not in self._known:
            try:
                self._known[q] = self.target.of(self.at(q))
            except ConvergenceError as error:
                self.why_not, self._failed, self._known[q] = str(error), True, math.nan
            except ConfigError as error:
                # That it is off the curve says less than that a number could not be computed on it.
                self.why_not, self._known[q] = self.why_not if self._failed else str(error), math.nan
        return self._known[q]

    def stable(self, q: float) -> bool:
        """Whether |d q'/dq| = |E[φ'² + φφ'']|/E φ'² lets deviations grow at most by `DRIFT` over the depth."""
        for spec in self.family.layers:
            moments = gaussian_moments(spec.activation).at(q)
            if not abs(moments.gain) <= DRIFT ** (1.0 / self.family.depth) * moments.slope2:
                return False
        return True

    def found(self, q: float, exact: bool) -> Found:
        """What is to be said of one q*."""
        return Found(True, self.at(q), q, self.number(q), exact, self.stable(q), self.least)

    @property
    def least(self) -> float:
        """The least of the numbers computed."""
        return min((value for value in self._known.values() if not math.isnan(value)), default=math.inf)

    def nearest(self, allowed: list[float]) -> float:
        """Of those that keep to the bound, the one nearest to 1: where nothing binds from above, there is no other."""
        return next(q for q in sorted(allowed, key=lambda q: abs(math.log(q))) if self.target.met(self.number(q)))

    def chosen(self, good: float, before: float) -> tuple[float, bool]:
        """The q* to take, given one that is good and the next larger one that is not; and whether the bound binds."""
        if self.target.value == 0.0 or abs(self.number(good) / self.target.value - 1.0) <= self.target.accuracy:
            return good, self.target.value != 0.0
        try:
            root = math.exp(bracketed_zero(self._excess, math.log(good), math.log(before), tolerance=1e-13))
            if abs(math.expm1(self._excess(math.log(root)))) <= self.target.accuracy:
                return root, True
            # The number jumps over its bound: the last q* before the jump.
            a, b = math.log(good), math.log(before)
            for _ in range(60):
                middle = 0.5 * (a + b)
                a, b = (middle, b) if self._excess(middle) <= 0.0 else (a, middle)
            return math.exp(a), False
        except ConvergenceError:
            # Somewhere in between there is no prediction; the trial has one.
            return good, False

    def _excess(self, log_q: float) -> float:
        value = self.number(math.exp(log_q))
        if math.isnan(value):
            raise ConvergenceError(f"no prediction at q* = {math.exp(log_q):g}")
        return float(np.clip(math.log(value / self.target.value) if value > 0.0 else -_CLIP, -_CLIP, _CLIP))
