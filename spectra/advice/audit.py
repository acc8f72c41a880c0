"""`audit`: what an initialisation that is given does to signals and gradients, a verdict, and what would be better."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..bounds import NormBound, norm_bound
from ..correlated.network import first_two_moments
from ..errors import ConfigError, ConvergenceError, UnboundedError
from ..flow.predicted import Flow, flow
from ..network.architectures import architecture_of, are_products, refuse_without_law
from ..network.config import Network
from ..network.meanfield import LayerState, MeanField, mean_field
from ..prediction import Prediction, predict
from ..record import finite, prediction_to_dict, resolved
from .full_law import full_law, takes_long
from .residual import has_alpha
from .targets import Target
from .tune import Tuned, tune

SCHEMA = 1
# Root mean square gradients and signals that change by this factor or more between layers count as lost or run away.
WITHIN = 10.0
# A direction whose gradient changes by this factor or more counts as lost.
DIRECTION = 100.0
# 98 % of all singular values within this factor of 1 is as good as it needs to be.
GOOD = 2.0
# So many directions may stray from that.
STRAY = 0.02
# Correlations of inputs that decay by e^{-6} leave nothing to train on: Schoenholz et al., ICLR 2017, §5.
DEPTH_SCALES = 6.0
# Depth over width, Σ 1/N_l of the hidden layers, beyond which gradients scatter widely between networks.
NARROW = 0.25

Verdict = Literal["good", "fair", "uneven", "vanishing", "exploding"]
_LN10 = math.log(10.0)


@dataclass(frozen=True)
class Audit:
    """A verdict on an initialisation and what it rests on.

    Parameters
    ----------
    network : what was judged.
    verdict : "vanishing" or "exploding": root mean square gradients or signals change by `within` or more over the
        layers; "uneven": they do not, but most single directions change a hundredfold; "good": 98 % of the singular
        values are within a factor of 2 of 1; "fair": neither.
    reason : one sentence.
    field, flow, prediction, bound : what was computed, None where it could not be.
    target, achieved : a target that was asked for, and its number.
    advice : what would be better.
    notes : what a reader should know.
    two : m_1 and m_2 of JJᵀ of blocks, where there is no prediction.
    """

    network: Network
    verdict: Verdict
    reason: str
    field: MeanField | None
    flow: Flow | None
    prediction: Prediction | None
    bound: NormBound | None
    target: Target | None
    achieved: float | None
    tuned: Tuned | None
    notes: tuple[str, ...]
    two: tuple[float, float] | None = None

    @property
    def ok(self) -> bool:
        """Neither vanishing nor exploding, and the target, if there is one, is kept."""
        kept = self.target is None or (self.achieved is not None and self.target.met(self.achieved))
        return kept and self.verdict not in ("vanishing", "exploding")

    @property
    def advice(self) -> tuple[str, ...]:
        """What would be better, a sentence each; nothing where all is well."""
        if self.tuned is None or (self.ok and self.verdict == "good"):
            return ()
        found = self.tuned.found
        lines = []
        if has_alpha(self.network):
            lines = [self.tuned.reason, *(one.words for one in self.tuned.alternatives)]
            return () if self._has_alpha(self.tuned.alpha) else tuple(lines)
        if found.network is not None and self.tuned.prediction is not None and not self._stands_there:
            scales = ", ".join(dict.fromkeys(_scales(run) for run in self.tuned.prediction.mean_field.runs))
            bound = f"{self.tuned.target.words} {found.value:.4g}"
            lines.append(f"on the edge of chaos: {scales}; then χ_1 = 1 and the {bound}")
        others = [one.words for one in self.tuned.alternatives if one.reachable]
        return (*lines, *(others if others or self.tuned.reachable else [self.tuned.reason]))

    def _has_alpha(self, alpha: float | None) -> bool:
        """Whether all residual blocks have this α."""
        own = [spec.alpha for spec in self.network.layers if spec.alpha is not None]
        return alpha is not None and bool(np.allclose(own, alpha, rtol=1e-6))

    @property
    def _stands_there(self) -> bool:
        """The initialisation has the scales that tuning comes to: then they are no advice."""
        if self.field is None or self.tuned is None or self.tuned.prediction is None:
            return False
        here, there = ([_numbers(run) for run in one.runs] for one in (self.field, self.tuned.prediction.mean_field))
        return len(here) == len(there) and bool(np.allclose(here, there, rtol=1e-6, atol=1e-12))

    @property
    def _variances(self) -> tuple[float | None, float | None]:
        """m_2 − m_1² and that over m_1²; also without a spectrum, of blocks, where two moments are known."""
        if self.prediction is not None:
            return self.prediction.variance, self.prediction.relative_variance
        if self.two is None:
            return None, None
        first, second = self.two
        return second - first**2, second / first**2 - 1.0

    def numbers(self) -> dict[str, Any]:
        """The numbers that the verdict rests on; None where there is none."""
        field, flow, pred, bound = self.field, self.flow, self.prediction, self.bound
        gradients = None if flow is None else flow.log_grad_norm
        return {
            "chi_1": None if field is None else field.chi_1,
            "q_star": None if field is None else field.q_star,
            "phase": None if field is None else field.phase,
            "log10_mean_square_gradient": None if gradients is None else 2.0 * float(gradients[0]) / _LN10,
            "log10_gradient_norms": None if gradients is None else gradients / _LN10,
            "log10_signals": None if flow is None else 0.5 * flow.log_h / _LN10,
            "log10_weight_gradients": None if flow is None else 0.5 * flow.log_grad_w / _LN10,
            "weight_layers": None if flow is None else flow.layer.tolist(),
            "float32_overflow_layer": None if flow is None else flow.overflow(),
            "float16_overflow_layer": None if flow is None else flow.overflow("float16"),
            "variance": self._variances[0],
            "relative_variance": self._variances[1],
            "s_max": None if pred is None else Target("s_max", 1.0).read(pred),
            "condition": None if pred is None else Target("condition", 1.0).read(pred),
            "norm_bound_looseness": None if bound is None else bound.looseness,
            "log10_norm_bound": None if bound is None else bound.log_bound / _LN10,
            "xi_c": None if field is None else field.xi_c,
        }

    def to_dict(self, *, points: int = 400) -> dict[str, Any]:
        """The JSON object of `spectra audit`."""
        missing: list[str] = []
        numbers = finite(self.numbers(), missing)
        notes = [*self.notes]
        if self.flow is not None:
            never = [f"{name}_overflow_layer" for name in ("float32", "float16") if self.flow.overflow(name) is None]
            notes += [f"`{key}` is null: no layer overflows" for key in never]
            missing = [key for key in missing if key not in never]
        notes += [f"`{key}` is null: infinite, or not defined here" for key in dict.fromkeys(missing)]
        field, pred = self.field, self.prediction
        return {
            "schema": SCHEMA,
            "ok": self.ok,
            "verdict": self.verdict,
            "reason": self.reason,
            "network": self.network.to_dict() if field is None else finite(resolved(self.network, field), []),
            "numbers": numbers,
            "target": None if self.target is None else {"kind": self.target.kind, "value": self.target.value},
            "achieved": None if self.achieved is None else finite(self.achieved, []),
            "advice": list(self.advice),
            "prediction": None if pred is None else prediction_to_dict(pred, points=points),
            "notes": notes,
        }


def audit(net: Network, target: Target | None = None, *, within: float = WITHIN, advise: bool = True) -> Audit:
    """Judge the initialisation of `net`: variances forward and backward, and the spectrum of JJᵀ.

    Parameters
    ----------
    net : with numbers, "critical", or an `init`.
    target : asked for beside that.
    within : the factor by which root mean square gradients and signals may change over the layers.
    advise : whether to look for something better.

    Raises
    ------
    ConfigError : `within` is not above 1, or the network has no critical point or fixed point where one was asked for.

    Examples
    --------
    >>> audit(Network(depth=50, activation="tanh", init="torch_default", width=500), advise=False).verdict
    'vanishing'
    """
    if not (isinstance(within, (int, float)) and math.isfinite(within) and within > 1.0):
        raise ConfigError(f"`within = {within!r}`: must be a factor above 1.")
    refuse_without_law(net.layers)
    try:
        field = mean_field(net)
    except UnboundedError as error:
        _, _, reason = str(error).partition(": ")
        reason = f"Exploding: {reason.rstrip('.')}."
        tuned, notes = _tuned(net, target, advise)
        return Audit(net, "exploding", reason, None, None, None, None, target, None, tuned, tuple(notes))
    found = flow(field)
    notes = [*field.notes, *_of_layers(net)]
    pred: Prediction | None = None
    bound: NormBound | None = None
    verdict, reason = _judged(field, found, None, within)
    if has_alpha(net) and verdict in ("vanishing", "exploding"):
        # Which takes long where α is large, and would not change the verdict.
        notes.append(f"no spectrum: not computed, as gradients or signals are {verdict}")
    else:
        try:
            # A target that takes a spectrum is worth one.
            pred, why_not = (predict(net), "") if target is not None and target.takes_spectrum else full_law(net)
            if pred is None:
                notes.append(f"no spectrum: {why_not}")
            else:
                bound = norm_bound(pred)
        except (ConfigError, ConvergenceError) as error:
            notes.append(f"no spectrum: {error}")
        verdict, reason = _judged(field, found, pred, within)
    two = _two_moments(field) if pred is None else None
    if two is not None and verdict == "fair":
        verdict, reason = _by_two_moments(*two, reason)
        notes.append(
            f"m_1 and m_2 take no spectrum: some singular value is {math.sqrt(two[1] / two[0]):.4g} or more; the "
            "largest, the condition number, quantiles and the norm bound are left out"
        )
    achieved = _achieved(target, pred, two)
    tuned, left_out = _tuned(net, target, advise)
    notes += left_out
    if target is not None:
        if achieved is None:
            notes.append(f"the {target.words} is not known: no spectrum")
        elif not target.met(achieved):
            reason += f" The {target.words} is {achieved:.6g}, asked for was at most {target.value:g}."
    notes += _warnings(field, found)
    return Audit(net, verdict, reason, field, found, pred, bound, target, achieved, tuned, tuple(notes), two)


def _two_moments(field: MeanField) -> tuple[float, float] | None:
    """m_1 and m_2 of JJᵀ of blocks; None of other networks, or where they are not known."""
    if are_products([run.spec for run in field.runs]):
        return None
    try:
        return first_two_moments(field)
    except (ConfigError, ConvergenceError):
        return None


def _achieved(target: Target | None, pred: Prediction | None, two: tuple[float, float] | None) -> float | None:
    """The target's number; None where it is not known."""
    if target is not None and pred is not None:
        return target.read(pred)
    if target is None or target.takes_spectrum or two is None:
        return None
    return two[1] / two[0] ** 2 - 1.0


def _of_layers(net: Network) -> list[str]:
    """What there is to say of the layers."""
    notes = dict.fromkeys(note for spec in net.layers for note in architecture_of(spec).notes(spec))
    return list(notes)


def _tuned(net: Network, target: Target | None, advise: bool) -> tuple[Tuned | None, list[str]]:
    """What tuning comes to, or why it was not tried."""
    if not advise:
        return None, []
    try:
        why = takes_long(net) if target is not None and target.takes_spectrum else None
        if why is not None:
            return None, [f"no advice: every α that is tried takes a spectrum, and {why}"]
        # As a network to tune it stands at a fixed point; the input variance that was given need not lead there.
        standing = net if has_alpha(net) else net.replace(input_variance=None)
        return tune(standing, target or Target("variance", 0.25)), []
    except (ConfigError, ConvergenceError):
        return None, []


def _judged(field: MeanField, found: Flow, pred: Prediction | None, within: float) -> tuple[Verdict, str]:
    limit = math.log(within)
    gradients = found.log_grad_norm
    signals = 0.5 * found.log_h
    change = float(signals[-1] - signals[0])
    first = float(gradients[0])
    rate = _rate(field, first)
    if not math.isfinite(first) or first <= -limit:
        return "vanishing", f"Vanishing: from the output to the input gradients shrink {_factor(-first)}{rate}."
    if first >= limit:
        return "exploding", f"Exploding: from the output to the input gradients grow {_factor(first)}{rate}."
    worst = int(np.argmax(np.abs(gradients)))
    if abs(gradients[worst]) >= limit:
        word: Verdict = "exploding" if gradients[worst] > 0.0 else "vanishing"
        return word, (
            f"{word.capitalize()}: gradients at layer {worst} are {_factor(abs(float(gradients[worst])))} "
            f"{'larger' if gradients[worst] > 0.0 else 'smaller'} than at the output."
        )
    if not math.isfinite(change) or abs(change) >= limit:
        word, verb = ("exploding", "grow") if change > 0.0 else ("vanishing", "shrink")
        return word, f"{word.capitalize()}: signals {verb} {_factor(abs(change))} from the first layer to the last."
    kept = f"root mean square gradients keep within a factor {math.exp(float(np.ptp(gradients))):.3g} over all layers"
    if pred is None:
        return "fair", f"Fair: {kept}; there is no spectrum to judge single directions by."
    return _of_directions(pred, kept)


def _by_two_moments(first: float, second: float, reason: str) -> tuple[Verdict, str]:
    """What m_1 and m_2 say of single directions, by Chebyshev's inequality: that few stray far, or nothing."""
    room = min(first - GOOD**-2, GOOD**2 - first)
    spread = second / first**2 - 1.0
    if room > 0.0 and first**2 * spread <= STRAY * room**2:
        words = f"98 % of the singular values or more lie within a factor of {GOOD:g} of 1, as m_1 and m_2 tell"
        return "good", f"{reason.replace('Fair', 'Good', 1).partition(';')[0]}, and {words}."
    return "fair", f"{reason.rstrip('.')}; the variance of JJᵀ over m_1² is {spread:.4g}."


def _rate(field: MeanField, log_change: float) -> str:
    """χ_1, where it is what makes the most of a change."""
    if not field.chi_1 or abs(0.5 * field.depth * math.log(field.chi_1)) < 0.5 * abs(log_change):
        return ""
    return f" (χ_1 = {field.chi_1:.5g} a layer)"


def _of_directions(pred: Prediction, kept: str) -> tuple[Verdict, str]:
    """Where the mean square is kept: whether single directions are too."""
    zero = float(pred.spectrum.atom_at_zero)
    levels = np.array([0.01, 0.5, 0.99])
    logs = pred.spectrum.quantile_at(zero + (1.0 - zero) * levels if zero < 1.0 else levels)
    low, middle, high = (-0.5 * float(u) for u in logs)
    lost = zero > 1e-6
    share = f"; {100.0 * zero:.3g} % of all directions are lost" if lost else ""
    if abs(middle) >= math.log(DIRECTION):
        verb = "shrink" if middle < 0.0 else "grow"
        return "uneven", f"Uneven: {kept}, but most single directions {verb} {_factor(abs(middle))}{share}."
    ends = f"{math.exp(max(low, -700.0)):.3g} and {math.exp(min(high, 700.0)):.3g}"
    spread = f"98 % of the {'other ' if lost else ''}singular values lie between {ends}"
    if not lost and max(-low, high) <= math.log(GOOD) * (1.0 + 1e-9):
        return "good", f"Good: {kept}, and {spread}."
    return "fair", f"Fair: {kept}; {spread}{share}."


def _factor(log: float) -> str:
    """Words for a factor, given its logarithm."""
    if not math.isfinite(log):
        return "without bound"
    return f"{math.exp(log):.3g}-fold" if log < 13.8 else f"10^{log / _LN10:.3g}-fold"


def _numbers(run: LayerState) -> tuple[float, float, int]:
    return float(run.spec.sigma_w), float(run.spec.sigma_b or 0.0), run.repeat


def _scales(run: LayerState) -> str:
    return f"σ_w = {float(run.spec.sigma_w):.8g}, σ_b = {float(run.spec.sigma_b or 0.0):.8g} (q* = {run.q:.4g})"


def _warnings(field: MeanField, found: Flow) -> list[str]:
    notes = []
    for name in ("float16", "float32"):
        layer = found.overflow(name)
        if layer is not None:
            notes.append(f"{name} overflows at layer {layer}")
    if field.xi_c and field.depth > DEPTH_SCALES * field.xi_c:
        notes.append(
            f"the depth is {field.depth / field.xi_c:.3g} times the scale ξ_c = {field.xi_c:.3g} of correlations: "
            "beyond 6 the output no longer shows which input it came from"
        )
    scatter = sum(1.0 / width for width in (found.widths or ())[1:-1])
    if scatter > NARROW:
        notes.append(
            f"depth over width, Σ 1/N_l, is {scatter:.2g}: gradients of single networks scatter widely about the means"
        )
    return notes
