"""A prediction in one plain sentence, and a network in a few words."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .network.config import LayerSpec, Network
    from .prediction import Prediction

# All of the middle 98 % of singular values within this of 1 counts as a near-isometry.
ISOMETRY = 0.1
# A direction whose gradient changes by this factor or more counts as vanishing or exploding.
LARGE = 100.0
WORDS = {"gaussian": "Gaussian", "orthogonal": "orthogonal", "uniform": "uniform", "rademacher": "Rademacher"}


def reading(pred: Prediction) -> str:
    """Return one sentence on what the spectrum does to gradients.

    It looks at the atom at 0, at the 1 %, 50 % and 99 % quantiles of the other singular values, and at m_1; nothing
    else, so that the sentence can be checked against the table.
    """
    zero = float(pred.spectrum.atom_at_zero)
    if zero >= 1.0:
        return "every singular value is 0: no gradient passes at all."
    levels = zero + (1.0 - zero) * np.array([0.01, 0.5, 0.99])
    low, middle, high = (float(s) for s in pred.singular_values.icdf(levels))
    mean_square = float(pred.moments(1)[0])
    spread = _spread(low, middle, high)
    if zero > 0.0:
        lost = f"{_share(zero)} of all directions are lost (singular value exactly 0)"
        return f"{lost}, {_rest(spread, _fate(low, middle, high, mean_square))}."
    return f"singular values {spread}: {_fate(low, middle, high, mean_square)}."


def _rest(spread: str, fate: str) -> str:
    return f"the other singular values {spread}: {fate}"


def _spread(low: float, middle: float, high: float) -> str:
    """How far the middle 98 % reach."""
    if not (low > 0.0 and math.isfinite(high)):
        return "spread over more decades than double precision holds"
    if high - low <= 1e-9 * high:
        return f"are all {middle:.4g}"
    if high <= 10.0 * low:
        return f"lie between {low:.3g} and {high:.3g}"
    decades = round(math.log10(high / low))
    return f"spread over {decades} {'decade' if decades == 1 else 'decades'}"


def _fate(low: float, middle: float, high: float, mean_square: float) -> str:
    """Say what happens to gradients along most directions."""
    if low >= 1.0 - ISOMETRY and high <= 1.0 + ISOMETRY:
        return "near-isometry, gradients of all directions pass almost unchanged"
    if high <= 1.0 / LARGE:
        return "gradients vanish in all directions"
    if low >= LARGE:
        return "gradients explode in all directions"
    if middle <= 1.0 / LARGE:
        few = ", and explode along a few" if high >= LARGE else ""
        return f"gradients vanish for most directions{few}"
    if middle >= LARGE:
        few = ", and vanish along a few" if low <= 1.0 / LARGE else ""
        return f"gradients explode for most directions{few}"
    if low <= 1.0 / LARGE and high >= LARGE:
        return "gradients vanish along some directions and explode along others"
    if high >= LARGE:
        return "gradients explode along some directions"
    if low <= 1.0 / LARGE:
        return "gradients vanish along some directions"
    if not 0.5 <= mean_square <= 2.0:
        verb = "grow" if mean_square > 1.0 else "shrink"
        return f"gradients {verb} by {mean_square:.3g} in mean square"
    return "no direction's gradient vanishes or explodes"


def _share(mass: float) -> str:
    return "half" if math.isclose(mass, 0.5, abs_tol=1e-12) else f"{100.0 * mass:.3g} %"


def in_words(net: Network) -> str:
    """Return the network in a few words: "16 tanh layers, orthogonal weights, critical at q* = 0.1"."""
    # Layers that differ in width alone are one part of the sentence: the widths have a place of their own.
    runs = [
        replace(first, repeat=first.repeat + sum(spec.repeat for spec in others))
        for _, (first, *others) in groupby(net.layers, key=lambda spec: replace(spec, width=None, repeat=1))
    ]
    parts = [_run_in_words(spec) for spec in runs[:3]]
    if len(runs) > 3:
        parts = [*parts[:2], f"… ({net.depth} layers)"]
    text = "; ".join(parts)
    widths = net.widths
    if widths is not None and net.rectangular and len(net.layers) < 8:
        steps = [str(widths[0])]
        for width, spec in zip(widths[1:], net.layers, strict=True):
            steps.append(str(width) if spec.repeat == 1 else f"{width}×{spec.repeat}")
        text = "–".join(steps) + ": " + text
    return text


def _run_in_words(spec: LayerSpec) -> str:
    layers = "layer" if spec.repeat == 1 else "layers"
    return f"{spec.repeat} {activation_in_words(spec)} {layers}, {WORDS[spec.weights]} weights, {_scale_in_words(spec)}"


def activation_in_words(spec: LayerSpec) -> str:
    """Return the activation's name and the parameters that were given, or its expression."""
    given: Any = spec.description
    if not isinstance(given, dict):
        return spec.activation.name
    if "expr" in given:
        return str(given["expr"])
    options = ", ".join(f"{key} = {value}" for key, value in given.items() if key != "name")
    return f"{given['name']} ({options})" if options else str(given["name"])


def _scale_in_words(spec: LayerSpec) -> str:
    if spec.sigma_w == "critical":
        return f"critical at q* = {spec.q_star:g}" if spec.q_star is not None else f"critical, σ_b = {spec.sigma_b:g}"
    return f"σ_w = {spec.sigma_w:g}, σ_b = {spec.sigma_b:g}"
