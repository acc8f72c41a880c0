"""A derivative given as a callable, off the real axis: taken as it is where it proves analytic, else refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from spectra.activations.activation import Function
from spectra.errors import ConfigError

_CENTRES, _CIRCLE = 61, 32
# Largest circle, and how often it is halved before the derivative counts as not analytic.
_RADIUS, _HALVINGS = 1.0, 12
# Centres within ±12: beyond, the activations of practice are as flat as rounding.
_REACH = 12.0
# Weights of the derivative at the middle of nine points of unit spacing, from the middle on.
_CENTRAL = (4 / 5, -1 / 5, 4 / 105, -1 / 280)
# Step in units of the circles' radius: the differences are good to 1e-13 of the scale of the derivative.
_STEP = 0.03


class Continued:
    """A derivative on the branch (lower, upper), real or complex x, by what it is inside the branch.

    `checked` is the callable on the real axis; `radius` that of the circles around real points of the branch within
    which it is analytic to rounding, 0 where it is not.
    """

    def __init__(self, checked: Any, lower: float, upper: float) -> None:
        self.checked = checked
        # One callable serves all branches and says at a kink what it is on one side of it.
        self.ends = np.nextafter(lower, np.inf), np.nextafter(upper, -np.inf)
        self.radius = self._analytic_radius(lower, upper)

    def __call__(self, x: Any) -> Any:
        """φ'(x) for real or complex x."""
        if not np.iscomplexobj(x):
            return self.checked(np.clip(np.asarray(x, dtype=float), *self.ends))
        if not self.radius:
            raise ConfigError(
                f"`Activation.from_callable`: `slope`, the derivative of {self.checked.name!r}, must accept complex "
                "arrays and be analytic there (no clip, where, abs); or give the activation as an expression."
            )
        return self._complex(np.asarray(x))

    def rate(self, x: Any) -> Any:
        """Derivative by differences along the imaginary direction, which cross no kink."""
        x = np.asarray(x)
        h = _STEP * self.radius
        total = 0j
        for k, weight in enumerate(_CENTRAL, 1):
            total = total + weight * (self(x + 1j * k * h) - self(x - 1j * k * h))
        total = total / (1j * h)
        return total if np.iscomplexobj(x) else total.real

    def _complex(self, x: Any) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(self.checked.function(np.clip(x.real, *self.ends) + 1j * x.imag), dtype=complex)

    def _analytic_radius(self, lower: float, upper: float) -> float:
        """Least over the centres c of the largest radius at which f has no negative powers of x − c and mean f(c)."""
        low, high = max(lower, min(-_REACH, upper - 1.0)), min(upper, max(_REACH, lower + 1.0))
        x = low + (high - low) * np.linspace(0.1, 0.9, _CENTRES)
        on_axis = self(x)
        noise = 1e-13 * float(np.abs(on_axis).max())
        room = np.minimum(_RADIUS, 0.9 * np.minimum(x - lower, upper - x))
        turn = np.exp(2j * np.pi * np.arange(_CIRCLE) / _CIRCLE)
        least = np.inf
        for halving in range(_HALVINGS):
            radius = room * 0.5**halving
            try:
                values = self._complex(x[:, None] + radius[:, None] * turn)
                powers = np.abs(np.fft.fft(values) / _CIRCLE)
                wrong = np.maximum(powers[:, _CIRCLE // 2 :].max(axis=1), np.abs(values.mean(axis=1) - on_axis))
            except Exception:  # whatever a user's function makes of complex numbers
                return 0.0
            good = wrong <= 1e-12 * powers.max(axis=1) + noise
            least = min(least, float(radius[good].min(initial=np.inf)))
            x, on_axis, room = x[~good], on_axis[~good], room[~good]
            if not x.size:
                return least
        return 0.0


class Curvature:
    """φ'' of a branch: the user's where it serves, by differences of φ' elsewhere."""

    def __init__(self, slope: Continued, given: Continued | None, differences: Function) -> None:
        self.slope, self.given, self.differences = slope, given, differences

    def __call__(self, x: Any) -> Any:
        """φ''(x) for real or complex x."""
        given = self.given
        if given is not None and (given.radius or not np.iscomplexobj(x)):
            return given(x)
        if self.slope.radius or np.iscomplexobj(x):
            return self.slope.rate(x)
        return self.differences(x)


_PART, _PART_WEIGHTS = np.polynomial.legendre.leggauss(16)


def accurate_value(value: Function, slope: Continued, lower: float, upper: float) -> Function:
    """Return φ on a branch; φ(0) + ∫ φ' near 0 where the callable loses its digits, as that of √(1 + x²) − 1 does.

    Moments at small variance are of the size of φ near 0, and nodes are added until φ is smooth relative to that.
    """
    radius = slope.radius
    if not radius or not lower <= 0.0 <= upper:
        return value
    start = value(np.zeros(1))[0]

    def near(x: np.ndarray) -> np.ndarray:
        return start + 0.5 * x * (slope(0.5 * x[..., None] * (1.0 + _PART)) @ _PART_WEIGHTS)

    def joined(x: Any) -> np.ndarray:
        x = np.asarray(x, dtype=float)
        return np.where(np.abs(x) < radius, near(np.clip(x, -radius, radius)), value(x))

    # Not powers of two: their squares make no rounding that shows.
    x = 0.7 * radius * 2.0 ** -np.arange(0.0, 24.0, 0.5)
    x = np.concatenate([x, -x])
    x = x[(x > lower) & (x < upper)]
    error = np.abs(near(x) - value(x)) / np.maximum(np.abs(value(x)), 1e-300)
    # Where the two part at the outer end as well, the callable is not that accurate: joining them would make a step.
    return joined if np.any(error > 1e-13) and np.all(error[np.abs(x) > 0.5 * radius] < 1e-12) else value
