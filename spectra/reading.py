"""A prediction in one plain sentence, and a network in a few words."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from .network.architectures import architecture_of

if TYPE_CHECKING:
    from .network.config import LayerSpec, Network
    from .prediction import Prediction

# All of the middle 98 % of singular values within this of 1 counts as a near-isometry.
ISOMETRY = 0.1
# A direction whose gradient changes by this factor or more counts as vanishing or exploding.
LARGE = 100.0
# Less than one direction in a million is not worth a word, nor a mark in a figure.
NEGLIGIBLE = 1e-6
SOME = ("some directions", "others")
WORDS = {"gaussian": "Gaussian", "orthogonal": "orthogonal", "uniform": "uniform", "rademacher": "Rademacher"}


def reading(pred: Prediction) -> str:
    """Return one sentence on what the spectrum does to gradients.

    It looks at the atom at 0, at the 1 %, 50 % and 99 % quantiles of the other singular values, at their extremes and
    at m_1; nothing else, so that the sentence can be checked against the table.
    """
    text = _sentence(pred)
    return text[0].upper() + text[1:]


def _sentence(pred: Prediction) -> str:
    zero = float(pred.spectrum.atom_at_zero)
    if zero >= 1.0:
        return "every singular value is 0: no gradient passes at all."
    levels = zero + (1.0 - zero) * np.array([0.01, 0.5, 0.99])
    # Natural logarithms of s: a deep network has quantiles that no double holds.
    low, middle, high = (-0.5 * float(u) for u in pred.spectrum.quantile_at(levels))
    least, most = (-0.5 * u for u in pred.spectrum.log_support)
    lost = zero >= NEGLIGIBLE
    if high - low > 1e-9:
        spread = f"98 % of the {'others' if lost else 'singular values'} {_spread(low, high)}"
    else:
        share = "all the" if not pred.spectrum.bulks else "at least 98 % of the"
        spread = f"{share} {'others' if lost else 'singular values'} are {_exp(middle, 4)}"
    fate = _fate(
        (low, middle, high), (least, most), float(pred.moments(1)[0]), "their gradients" if lost else "gradients"
    )
    if lost:
        directions = "output directions" if pred.network.rectangular else "directions"
        return f"{_share(zero)} of all {directions} are lost (singular value exactly 0), {spread}: {fate}."
    return f"{spread}: {fate}."


def _spread(low: float, high: float) -> str:
    """How far the middle 98 % reach, from the logarithms of their ends."""
    decades = (high - low) / math.log(10.0)
    if decades <= 1.0:
        # Three digits, or as many as show the difference.
        digits = max(3, 1 + math.ceil(-math.log10(-math.expm1(low - high))))
        return f"lie between {_exp(low, digits)} and {_exp(high, digits)}"
    if not math.isfinite(decades):
        return "spread over more decades than can be counted"
    rounded = round(decades)
    return f"spread over {rounded} {'decade' if rounded == 1 else 'decades'}"


def _exp(log: float, digits: int = 3) -> str:
    """Return e^log to a few digits, as a power of ten where no double holds it."""
    return f"{math.exp(log):.{digits}g}" if abs(log) < 700.0 else f"10^{round(log / math.log(10.0))}"


def _fate(quantiles: tuple[float, float, float], ends: tuple[float, float], mean_square: float, gradients: str) -> str:
    """Say what happens to gradients, from the logarithms of the 1 %, 50 % and 99 % quantiles and of s_min and s_max."""
    (low, middle, high), (least, most), large = quantiles, ends, math.log(LARGE)
    if high <= -large:
        return f"{gradients} vanish in {'all' if most <= -large else 'nearly all'} directions"
    if low >= large:
        return f"{gradients} explode in {'all' if least >= large else 'nearly all'} directions"
    if middle <= -large:
        few = ", and explode along a few" if high >= large else ""
        return f"{gradients} vanish for most directions{few}"
    if middle >= large:
        few = ", and vanish along a few" if low <= -large else ""
        return f"{gradients} explode for most directions{few}"
    if low <= -large or high >= large:
        verbs = [verb for verb, here in (("vanish", low <= -large), ("explode", high >= large)) if here]
        return f"{gradients} " + " and ".join(f"{v} along {w}" for v, w in zip(verbs, SOME, strict=False))
    if low >= math.log1p(-ISOMETRY) and high <= math.log1p(ISOMETRY):
        return f"near-isometry, {gradients} pass almost unchanged in nearly all directions"
    if not 0.5 <= mean_square <= 2.0:
        return f"on average over all directions, squared gradients are multiplied by {mean_square:.3g}"
    return f"{gradients} neither vanish nor explode, but for few directions at most"


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
    kind, activation = architecture_of(spec), activation_in_words(spec)
    layers = kind.noun if spec.repeat == 1 else kind.noun + "s"
    named = f"{layers} of {activation}" if spec.activation.source == "expression" else f"{activation} {layers}"
    return f"{spec.repeat:,} {named}, {WORDS[spec.weights]} weights, {_scale_in_words(spec)}{kind.details(spec)}"


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
