"""Mean field of a network: the variance q_l and slope χ_l of every layer, and the depth scales of its map.

Indices: h_l = W_l x_{l−1} + b_l has variance q_l = σ_w² E φ_{l−1}(√q_{l−1} z)² + σ_b², with E x_0² in place of the
expectation for l = 1; D_l = diag φ_l'(h_l) and χ_l = σ_w² E φ_l'(√q_l z)². Other kinds of layer have steps of their own
in `spectra.network.architectures`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Literal

import numpy as np

from spectra.errors import UnboundedError
from spectra.network.architectures import Back, Level, Signal, architecture_of
from spectra.network.architectures.course import LARGEST, SMALLEST
from spectra.network.config import LayerSpec, Network
from spectra.network.correlation import CorrelationMap
from spectra.network.expectations import gaussian_moments
from spectra.network.qmap import CRITICAL_TOLERANCE
from spectra.network.resolve import ResolvedRun, Start, are_alike, resolved_runs, start
from spectra.quadrature import Array

Phase = Literal["ordered", "critical", "chaotic"]


@dataclass(frozen=True)
class LayerState:
    """Consecutive layers with one law of D².

    Parameters
    ----------
    spec : the layer with numbers for σ_w and σ_b; `spec.repeat` equals `repeat`.
    q : variance of the pre-activations, of the first layer where φ is positively homogeneous (its D² does not depend
        on q; see `variances`); 0 is the limit in which D² is φ'(0)², or an even mixture of φ'(0−)² and φ'(0+)².
    slope_moment : μ_1 = E φ'(√q z)².
    chi : mean square of the layer Jacobian: σ_w² μ_1 where dense, exactly 1.0 where critical by construction;
        β² + α²σ_w² μ_1 where residual.
    fan_in, fan_out : widths, None where not stated.
    repeat : number of layers.
    entering : r = E x² and μ = E x of what enters the first of them.
    """

    spec: LayerSpec
    q: float
    slope_moment: float
    chi: float
    fan_in: int | None
    fan_out: int | None
    repeat: int
    entering: Signal | None = field(default=None, compare=False, repr=False)

    @property
    def variances(self) -> Array:
        """Variance of the pre-activations of every layer, (repeat,)."""
        return architecture_of(self.spec).variances(self.spec, self.q, np.arange(self.repeat))

    @property
    def level(self) -> Level:
        """The same as the layers' architecture knows it."""
        assert self.entering is not None
        moments = gaussian_moments(self.spec.activation).at(self.q)
        return Level(self.q, moments, self.repeat, self.entering)


@dataclass(frozen=True)
class MeanField:
    """What mean-field theory says of a network.

    Parameters
    ----------
    runs : the layers in order, equal ones merged.
    input_variance : E x_0², resolved.
    q_star : fixed point of the variance map that all layers share; None where they share none.
    chi_1 : σ_w² E φ'² at q*; for a positively homogeneous φ at any q; None where χ_l do not multiply to m_1.
    phase : by χ_1, or by the growth of m_1 a layer, of equal widths, where there is no χ_1: as a rule the geometric
        mean of χ_l.
    correlation : the correlation map at q*, where all layers share one.
    notes : what was assumed, and why a value is None.
    """

    runs: tuple[LayerState, ...]
    input_variance: float
    q_star: float | None
    chi_1: float | None
    phase: Phase
    xi_q: float | None
    correlation: CorrelationMap | None
    notes: tuple[str, ...]

    @property
    def depth(self) -> int:
        """Number of layers."""
        return sum(run.repeat for run in self.runs)

    @cached_property
    def q(self) -> Array:
        """Variance of every layer, shape (depth,); read-only."""
        return _frozen(np.concatenate([run.variances for run in self.runs]))

    @cached_property
    def chi(self) -> Array:
        """Slope χ_l of every layer, shape (depth,); read-only."""
        return _frozen(np.repeat([run.chi for run in self.runs], [run.repeat for run in self.runs]))

    @cached_property
    def leaving(self) -> Signal:
        """r_L = E x_L² and μ_L = E x_L."""
        return _leaving(self.runs[-1])

    @cached_property
    def c_star(self) -> float | None:
        """Stable fixed point of the correlation map: 1 in the ordered phase and at criticality, below in chaos."""
        if not all(architecture_of(run.spec).settles for run in self.runs):
            return None
        if self.phase != "chaotic" and self.q_star:
            return 1.0
        return self.correlation.fixed_point if self.correlation is not None else None

    @cached_property
    def chi_c_star(self) -> float | None:
        """Slope χ_{c*} of the correlation map at c*."""
        if self.c_star is None:
            return None
        if self.c_star == 1.0 or self.correlation is None:
            return self.chi_1
        return self.correlation.slope(self.c_star)

    @cached_property
    def xi_c(self) -> float | None:
        """Depth scale −1/log χ_{c*} of correlations; None at criticality, where it is infinite."""
        if self.phase == "critical" or self.chi_c_star is None:
            return None
        return _depth_scale(self.chi_c_star)


def mean_field(net: Network) -> MeanField:
    """Mean field of `net`: variances through every layer, fixed point, phase and depth scales.

    Parameters
    ----------
    net : the network. `input_variance` left out: "fixed-point" where the layers share one stable q* > 0, or are
        critical at one q*; else 1, said in `notes`.

    Returns
    -------
    MeanField. Layers merge into one run once q no longer changes; the cost does not depend on their number.

    Raises
    ------
    ConfigError : no critical point, no fixed point where one was asked for, or variances beyond 1e300.
    ConvergenceError : an activation oscillates too fast to be resolved at the variance reached.

    Accuracy
    --------
    1e-13 relative in q and χ (tests/test_meanfield.py).

    Source
    ------
    Poole et al., NeurIPS 2016; Schoenholz et al., ICLR 2017, for q*, c* and the depth scales.
    """
    runs, notes = resolved_runs(net)
    begin = start(net, runs)
    notes = (*notes, *begin.notes)
    states, more = _propagated(net, runs, begin)
    first = runs[0]
    shared = are_alike(runs)
    multiply = all(architecture_of(run.spec).multiplies for run in runs)
    chi_1 = _reference_chi(first, begin) if multiply and (shared or begin.q_star is not None) else None
    if chi_1 is None:
        growth = math.exp(min(gradient_growth(states) / sum(s.repeat for s in states), 700.0))
        phase = _phase(growth)
        nulls = "q_star, c_star, chi_c_star, xi_c and xi_q are null"
        by = "the geometric mean of chi"
        if not multiply:
            # Slopes of one neuron in successive blocks depend on each other.
            by = f"m_1^(1/L) = {growth:.6g}, the growth of mean square gradients, which is no product of chi"
        more = (*more, f"no chi_1: phase by {by}; {nulls}")
    else:
        phase = _phase(chi_1)
    correlation = None
    if shared and begin.q_star:
        correlation = CorrelationMap(first.spec.activation, first.map.sigma_w, first.map.sigma_b, begin.q_star)
    xi_q = _depth_scale(abs(begin.slope)) if begin.slope is not None else None
    return MeanField(
        runs=tuple(states),
        input_variance=begin.input_variance,
        q_star=begin.q_star,
        chi_1=chi_1,
        phase=phase,
        xi_q=xi_q,
        correlation=correlation,
        notes=(*notes, *more, *_missing(begin, chi_1, phase, xi_q)),
    )


def gradients_back(states: Sequence[LayerState]) -> list[Back]:
    """Mean squares of gradients on their way back through all layers, one after the other for every run."""
    profile: Array | None = None
    found: list[Back] = []
    for state in reversed(states):
        found.append(architecture_of(state.spec).back(state.spec, state.level, profile))
        profile = found[-1].profile
    return found[::-1]


def gradient_growth(states: Sequence[LayerState]) -> float:
    """Log of E (∂C/∂x_0)²/E (∂C/∂x_L)², of layers of equal widths: log m_1 of JJᵀ."""
    if all(architecture_of(state.spec).multiplies for state in states):
        return sum(s.repeat * (math.log(s.chi) if s.chi > 0.0 else -math.inf) for s in states)
    with np.errstate(divide="ignore"):
        return float(sum(np.log(back.passed).sum() for back in gradients_back(states)))


def _reference_chi(run: ResolvedRun, begin: Start) -> float | None:
    """χ_1 at q*; without q* only where χ does not depend on q."""
    if begin.rest is not None:
        return architecture_of(run.spec).chi(run, begin.rest)
    moments, q = gaussian_moments(run.spec.activation), begin.q_star
    if q is None and moments.scale_free is None:
        return None
    q = q if q is not None else 1.0
    return architecture_of(run.spec).chi(run, Level(q, moments.at(q), 1, Signal(begin.input_variance)))


def _phase(chi: float) -> Phase:
    if abs(chi - 1.0) <= CRITICAL_TOLERANCE:
        return "critical"
    return "ordered" if chi < 1.0 else "chaotic"


def _depth_scale(factor: float) -> float | None:
    """−1/log factor; None where nothing decays."""
    if factor >= 1.0 - CRITICAL_TOLERANCE:
        return None
    return -1.0 / math.log(factor) if factor > 0.0 else 0.0


def _missing(begin: Start, chi_1: float | None, phase: Phase, xi_q: float | None) -> Iterator[str]:
    if chi_1 is None:
        return
    if begin.rest is not None:
        yield (
            "c_star, chi_c_star, xi_c and xi_q are null: the correlation of two inputs is not followed through "
            "normalised layers"
        )
        return
    if begin.q_star is None:
        yield "q_star, c_star, chi_c_star, xi_c and xi_q are null: the variance has no fixed point"
        return
    if begin.q_star == 0.0:
        yield "c_star and xi_c are null: at q* = 0 there is no signal to correlate"
    elif phase == "critical":
        yield "xi_c is null: infinite at criticality"
    if xi_q is None:
        yield (
            "xi_q is null: the layers' variance maps differ"
            if begin.slope is None
            else "xi_q is null: deviations of the variance do not decay at q*"
        )


def _leaving(state: LayerState) -> Signal:
    """The x after the last layer of a run."""
    return architecture_of(state.spec).leaving(state.spec, state.level)


def _propagated(net: Network, runs: tuple[ResolvedRun, ...], begin: Start) -> tuple[list[LayerState], tuple[str, ...]]:
    """Layer states in order, and notes."""
    states: list[LayerState] = []
    vanishes: int | None = None
    fan_in, layer = net.input_width, 1
    signal = Signal(begin.input_variance, gaussian=True, shared_of=float)
    for index, run in enumerate(runs):
        single, architecture = replace(run.spec, repeat=1), architecture_of(run.spec)
        variances = partial(architecture.variances, run.spec)
        for level in architecture.levels(run, signal, begin):
            q, moments, repeat, entering = level
            fan_out = run.spec.width or fan_in
            last = float(variances(q, repeat - 1))
            if not (q <= LARGEST and last <= LARGEST):
                over = layer + int(np.argmax(~(variances(q, np.arange(repeat)) <= LARGEST)))
                raise UnboundedError(
                    f"`input_variance = {begin.input_variance:g}`: the pre-activation variance exceeds {LARGEST:g} at "
                    f"layer {over}: the network amplifies without bound; lower `sigma_w` or the depth."
                )
            if vanishes is None and min(q, last) < SMALLEST and begin.input_variance > 0.0:
                vanishes = layer + int(np.argmax(variances(q, np.arange(repeat)) < SMALLEST))
            chi = architecture.chi(run, level)
            if not math.isfinite(chi):
                raise UnboundedError(
                    f"`input_variance = {begin.input_variance:g}`: at layer {layer} the variance is {q:.3g} and the "
                    "slope σ_w² E φ'² leaves the range of numbers: the network amplifies without bound."
                )
            at = q
            for width, count in ((fan_in, 1), (fan_out, repeat - 1)) if fan_in != fan_out else ((fan_in, repeat),):
                if count:
                    spec = single if count == 1 else replace(run.spec, repeat=count)
                    states.append(LayerState(spec, at, moments.slope2, chi, width, fan_out, count, entering))
                    if width != fan_out:
                        entering = _leaving(states[-1])
                    at = float(variances(at, count))
            fan_in = fan_out
            layer += repeat
        if index + 1 < len(runs):
            signal = _leaving(states[-1])
    note = f"the variance falls below {SMALLEST:g} at layer {vanishes}: from there on it counts as 0"
    return states, (note,) if vanishes is not None else ()


def _frozen(values: Array) -> Array:
    values.setflags(write=False)
    return values
