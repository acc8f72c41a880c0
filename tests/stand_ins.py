"""Predictions and samples in closed form, to test verdicts without the engine and the sampler."""

from collections import namedtuple
from math import comb
from types import SimpleNamespace
from typing import Any

import numpy as np

from spectra.network import Network
from spectra.sampling import Ensemble

Atom = namedtuple("Atom", "location mass")


class Tabulated:
    """Law of λ = scale · x, x tabulated with its distribution function, plus an atom at zero."""

    def __init__(self, points, mass_below, atoms=(), scale=1.0):
        self.points, self.mass_below, self.scale = points, mass_below, scale
        self.atoms: Any = tuple(atoms)

    def cdf(self, x):
        x = np.asarray(x) / self.scale
        return np.where(x < 0, 0.0, np.interp(x, self.points, self.mass_below))

    def icdf(self, p):
        return self.scale * np.interp(p, self.mass_below, self.points)


class Prediction:
    def __init__(self, spectrum, moments):
        self.spectrum, self.moments = spectrum, lambda k: np.array([moments(j) for j in range(1, k + 1)])
        self.checks = SimpleNamespace(certified=True, notes=())


def fuss_catalan(depth, scale=1.0) -> Any:
    """Linear Gaussian network: the parametric density of the Fuss–Catalan law, integrated over its angle."""
    phi = np.linspace(0, np.pi / (depth + 1), 20_001)[1:-1]
    top, low = np.sin((depth + 1) * phi), np.sin(depth * phi)
    x = top ** (depth + 1) / (np.sin(phi) * low**depth)
    log_slope = (depth + 1) ** 2 / np.tan((depth + 1) * phi) - 1 / np.tan(phi) - depth**2 / np.tan(depth * phi)
    mass = -(np.sin(phi) ** 2) * low ** (depth - 1) / (np.pi * top**depth) * x * log_slope
    cumulative = np.concatenate([[0], np.cumsum((mass[::-1][1:] + mass[::-1][:-1]) / 2) * (phi[1] - phi[0])])
    cumulative += 1 - cumulative[-1]  # what lies below the first point
    points, cumulative = np.append(0.0, x[::-1]), np.append(0.0, cumulative)
    spectrum = Tabulated(points, cumulative, scale=scale)
    return Prediction(spectrum, lambda k: scale**k * comb((depth + 1) * k, k) / (depth * k + 1))


def relu_layer() -> Any:
    """One He-scaled ReLU layer: half an atom at zero, half a Marchenko–Pastur law of ratio 1/2 and scale 2."""
    s = np.linspace(1 - np.sqrt(0.5), 1 + np.sqrt(0.5), 20_001)
    edges = (s**2 - s[0] ** 2) * (s[-1] ** 2 - s**2)
    mass = np.sqrt(np.maximum(edges, 0)) / (np.pi * 0.5 * s)
    below = np.concatenate([[0], np.cumsum((mass[1:] + mass[:-1]) / 2) * (s[1] - s[0])])
    assert abs(below[-1] - 1) < 1e-5
    spectrum = Tabulated(np.append(0.0, 2 * s**2), np.append(0.5, 0.5 + below / below[-1] / 2), [Atom(0.0, 0.5)])
    narayana = [1, 1.5, 2.75, 5.625]  # Σ_j N(k, j) (1/2)^{j − 1}
    return Prediction(spectrum, lambda k: 2**k * narayana[k - 1] / 2)


def point_mass(location) -> Any:
    spectrum = Tabulated(np.array([0.0, location, location]), np.array([0.0, 0.0, 1.0]), [Atom(location, 1.0)])
    spectrum.cdf = lambda x: np.where(np.asarray(x) >= location, 1.0, 0.0)  # type: ignore[method-assign]
    spectrum.icdf = lambda p: np.full(np.shape(p), location)  # type: ignore[method-assign]
    return Prediction(spectrum, lambda k: location**k)


def net(depth: int | None = 2, **keys):
    return Network(**({"depth": depth, "activation": "identity", "sigma_w": 1.0, "input_variance": 1.0} | keys))


def given(logs) -> Ensemble:
    """Ensemble of invented singular values of one square layer."""
    logs = np.atleast_2d(logs)
    blank = np.ones((len(logs), 1))
    return Ensemble(log_singular_values=logs, q=blank, chi=blank, widths=(logs.shape[1],) * 2, seed=0)
