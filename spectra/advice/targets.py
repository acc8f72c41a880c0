"""What a network is tuned to, as one number of its prediction that must not exceed what is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..correlated.network import first_two_moments
from ..errors import ConfigError, ConvergenceError
from ..network.architectures import are_products
from ..network.config import Network
from ..network.jacobian import jacobian_equation
from ..network.meanfield import mean_field
from ..network.reach import reach_of
from ..prediction import Prediction, predict
from ..series import relative_variance
from ..spectrum import OUTSIDE

Kind = Literal["variance", "s_max", "condition", "gradient"]
# A share of directions without gradients beyond which those that 98 % of all keep to is infinite.
LOST = 0.01
# exp beyond leaves the range of doubles; as good as infinite here.
_LARGEST_LOG = 700.0


@dataclass(frozen=True)
class _Measure:
    """How a kind of target is read off: in words, its least possible value, and how well it is known."""

    words: str
    least: float
    accuracy: float


_MEASURES: dict[str, _Measure] = {
    "variance": _Measure("variance of JJᵀ", 0.0, 1e-9),
    "s_max": _Measure("largest singular value", 0.0, 1e-8),
    "condition": _Measure("condition number s_max/s_min", 1.0, 1e-6),
    "gradient": _Measure("factor (up or down) that holds 98 % of the singular values", 1.0, 1e-8),
}
KINDS: tuple[str, ...] = tuple(_MEASURES)


@dataclass(frozen=True)
class Target:
    """An upper bound on one number of the spectrum of JJᵀ.

    Parameters
    ----------
    kind : "variance": m_2/m_1² − 1, the variance of JJᵀ where m_1 = 1; "s_max": √λ_max but for 5e-13 of the mass (a
        gelu whose slope is largest far out has λ_max there, and next to no mass); "condition": s_max/s_min of all but
        1e-12 of the mass; "gradient": the least F with 98 % of the singular values within [1/F, F].
    value : the bound; ≥ 0 for a variance, > 0 for s_max, ≥ 1 for the others.

    Raises
    ------
    ConfigError : another kind, or an impossible value.
    """

    kind: Kind
    value: float

    def __post_init__(self) -> None:
        if self.kind not in _MEASURES:
            raise ConfigError(f"`target = {self.kind!r}`: must be one of {', '.join(KINDS)}.")
        least = _MEASURES[self.kind].least
        number = not isinstance(self.value, bool) and isinstance(self.value, (int, float, np.number))
        above = number and (self.value > 0.0 if self.kind == "s_max" else self.value >= least)
        if not above or not math.isfinite(self.value):
            wanted = "a positive number" if self.kind == "s_max" else f"a number of at least {least:g}"
            raise ConfigError(
                f"`target {self.kind} = {self.value!r}`: must be {wanted}: it is an upper bound on the {self.words}."
            )

    @property
    def words(self) -> str:
        """What is bounded."""
        return _MEASURES[self.kind].words

    @property
    def accuracy(self) -> float:
        """Relative accuracy to which the number is met where it can be."""
        return _MEASURES[self.kind].accuracy

    @property
    def takes_spectrum(self) -> bool:
        """Whether two moments are not enough for it."""
        return self.kind != "variance"

    def of(self, net: Network) -> float:
        """The number of `net`; inf where it is infinite. A variance needs no spectrum, 1 ms; the others 5 ms.

        Raises
        ------
        ConfigError, ConvergenceError : as `predict`; also slopes that grow so fast that E φ'⁴ is not known.
        """
        if self.kind == "variance":
            field = mean_field(net)
            reach = reach_of(field)
            if reach is not None and reach.order < 2:
                raise ConvergenceError(reach.reason)
            if not are_products(net.layers):
                first, second = first_two_moments(field)
                return max(second / first**2 - 1.0, 0.0)
            with np.errstate(all="ignore"):
                return max(relative_variance(jacobian_equation(field)), 0.0)
        return self.read(predict(net))

    def read(self, pred: Prediction) -> float:
        """The number of a prediction."""
        return _READERS[self.kind](pred)

    def met(self, value: float) -> bool:
        """Whether a number keeps to the bound, as far as it is known."""
        return value <= self.value * (1.0 + self.accuracy)


def _s_max(pred: Prediction) -> float:
    return _exp(-0.5 * float(pred.spectrum.quantile_at(np.array([1.0 - OUTSIDE]))[0]))


def _condition(pred: Prediction) -> float:
    if pred.spectrum.atom_at_zero > OUTSIDE:
        return math.inf
    low, high = (float(u) for u in pred.spectrum.quantile_at(np.array([OUTSIDE, 1.0 - OUTSIDE])))
    return _exp(0.5 * (low - high))


def _gradient(pred: Prediction) -> float:
    if pred.spectrum.atom_at_zero > LOST:
        return math.inf
    logs = -0.5 * pred.spectrum.quantile_at(np.array([0.01, 0.99]))
    return _exp(float(np.abs(logs).max()))


def _exp(log: float) -> float:
    return math.exp(log) if log < _LARGEST_LOG else math.inf


_READERS: dict[str, Callable[[Prediction], float]] = {
    "variance": lambda pred: pred.relative_variance,
    "s_max": _s_max,
    "condition": _condition,
    "gradient": _gradient,
}
