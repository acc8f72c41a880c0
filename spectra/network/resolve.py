"""From a network as described to numbers: "critical" to σ_w and σ_b, "fixed-point" to a variance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from spectra.activations import Activation
from spectra.errors import ConfigError
from spectra.network.architectures import Level, architecture_of
from spectra.network.config import LayerSpec, Network
from spectra.network.criticality import critical_point
from spectra.network.expectations import gaussian_moments
from spectra.network.qmap import CRITICAL_TOLERANCE, FixedPoint, FixedPoints, VarianceMap
from spectra.network.schema import FIXED_POINT


@dataclass(frozen=True)
class ResolvedRun:
    """A run of layers with numbers for σ_w and σ_b.

    Parameters
    ----------
    spec : the layers; `q_star` is None.
    critical : σ_w was "critical".
    q_star : the variance at which χ = 1 by construction; None where not critical, or critical at every variance.
    given : `q_star` came from the description, σ_b followed.
    """

    spec: LayerSpec
    critical: bool = False
    q_star: float | None = None
    given: bool = False

    @property
    def map(self) -> VarianceMap:
        """Variance map of a layer that follows its own kind."""
        return VarianceMap(self.spec.activation, float(self.spec.sigma_w), float(self.spec.sigma_b or 0.0))


@dataclass(frozen=True)
class Start:
    """Where the variances start, and the fixed point they are referred to.

    Parameters
    ----------
    input_variance : E x_0².
    at_fixed_point : every layer sits at `q_star` exactly.
    q_star : fixed point of the common map, None where there is none.
    slope : d q'/dq there, None where the layers' maps differ.
    rest : the level of layers that come to rest by themselves, whatever their variance map.
    """

    input_variance: float
    at_fixed_point: bool
    q_star: float | None
    slope: float | None
    notes: tuple[str, ...] = ()
    rest: Level | None = None


def resolved_runs(net: Network) -> tuple[tuple[ResolvedRun, ...], tuple[str, ...]]:
    """Put numbers for "critical" into the runs of `net`, with notes on what was chosen.

    Layers of different activations, all critical at one given q_star: where the activation changes, σ_b² = q_star −
    σ_w² E φ_previous² takes the incoming variance into account, if that is not negative; then every layer is at q_star.
    """
    runs, notes = [], []
    for spec in net.layers:
        if spec.sigma_w != "critical":
            runs.append(ResolvedRun(replace(spec, sigma_b=float(spec.sigma_b or 0.0))))
            continue
        point = critical_point(spec.activation, sigma_b=spec.sigma_b, q_star=spec.q_star)
        numbers = replace(spec, sigma_w=point.sigma_w, sigma_b=point.sigma_b, q_star=None)
        runs.append(ResolvedRun(numbers, True, point.q_star, spec.q_star is not None))
        notes += [note for note in point.notes if note not in notes]
    return _joined(runs, notes)


def _joined(runs: list[ResolvedRun], notes: list[str]) -> tuple[tuple[ResolvedRun, ...], tuple[str, ...]]:
    activations = {run.spec.activation for run in runs}
    variances = {run.q_star for run in runs}
    if len(activations) == 1 or len(variances) != 1 or not all(run.given for run in runs):
        return tuple(runs), tuple(notes)
    q = next(iter(variances)) or 0.0
    joined = [runs[0]]
    for before, run in pairwise(runs):
        if before.spec.activation == run.spec.activation:
            joined.append(run)
            continue
        incoming = float(run.spec.sigma_w) ** 2 * gaussian_moments(before.spec.activation).at(q).second
        square = q - incoming
        if square < -1e-14 * q:
            text = (
                f"`{run.spec.activation.name}` after `{before.spec.activation.name}` cannot stay at q_star = {q:g}: "
                f"it would need sigma_b² = {square:.4g}; the variance moves away from q_star there"
            )
            return tuple(runs), (*notes, text)
        first = replace(run, spec=replace(run.spec, sigma_b=math.sqrt(max(square, 0.0)), repeat=1))
        joined.append(first)
        if run.spec.repeat > 1:
            joined.append(replace(run, spec=replace(run.spec, repeat=run.spec.repeat - 1)))
    text = f"where the activation changes, sigma_b of the first layer is set so that it stays at q_star = {q:g}"
    return tuple(joined), (*notes, text)


def are_alike(runs: Sequence[ResolvedRun]) -> bool:
    """Whether the layers have one variance map, from each to the next."""
    settles = all(architecture_of(run.spec).settles for run in runs)
    return settles and len({(r.spec.activation, r.spec.sigma_w, r.spec.sigma_b) for r in runs}) == 1


def start(net: Network, runs: tuple[ResolvedRun, ...]) -> Start:
    """Input variance and reference fixed point, by the rules of `input_variance`.

    Raises
    ------
    ConfigError : "fixed-point" was asked for and there is none, or more than one.
    """
    asked = net.input_variance
    first = runs[0]
    if not all(architecture_of(run.spec).settles for run in runs):
        rest = architecture_of(first.spec).rest(first) if _are_one(runs) else None
        return _moving(asked, runs) if rest is None else _resting(asked, rest)
    if not are_alike(runs):
        return _mixed(asked, runs)
    if first.critical and first.q_star is not None:
        q = first.q_star
        slope = first.map.slope(q)
        # Where q* was not given but found, `critical_point` has said so already.
        unstable = first.given and abs(slope) > 1.0 + CRITICAL_TOLERANCE
        if asked is None and q == 0.0:
            return Start(1.0, False, q, slope, ("input_variance left out and q* = 0: taken as 1",))
        notes = (f"q* = {q:.6g} is unstable (slope {slope:.6g}): a variance near it moves away",) if unstable else ()
        if asked is None or asked == "fixed-point":
            return Start(_second(first.spec.activation, q), True, q, slope, notes)
        return Start(float(asked), False, q, slope, notes)
    found = first.map.fixed_points()
    if found.line:
        variance = 1.0 if asked in (None, "fixed-point") else float(asked)
        notes = () if variance == asked else (
            "every variance is a fixed point here: q follows the input variance, taken as 1",
        )  # fmt: skip
        return Start(variance, False, first.map.sigma_w**2 * variance, 1.0, notes)
    if asked is None or isinstance(asked, str):
        begin = _at_fixed_point(asked, found, first)
        return replace(begin, notes=(*begin.notes, *_several(found)))
    chosen = _basin(found, first, float(asked))
    notes = () if chosen else (f"no fixed point is approached{_reason(found)}",)
    notes = (*notes, *_several(found))
    return Start(float(asked), False, chosen.q if chosen else None, chosen.slope if chosen else None, notes)


def _several(found: FixedPoints) -> tuple[str, ...]:
    """What is to be said where there is more than one fixed point q* > 0."""
    listed = [f"{p.q:.6g} ({'stable' if p.stable else 'unstable'})" for p in found.points if p.q > 0.0]
    return (f"the variance has several fixed points: q* = {', '.join(listed)}",) if len(listed) > 1 else ()


def _at_fixed_point(asked: Literal["fixed-point"] | None, found: FixedPoints, run: ResolvedRun) -> Start:
    stable = found.stable_positive
    if len(stable) == 1:
        point = stable[0]
        return Start(_second(run.spec.activation, point.q), True, point.q, point.slope)
    if stable:
        listed = ", ".join(f"{p.q:.6g}" for p in stable)
        problem = f"several stable fixed points, q* = {listed}: the input variance decides"
    else:
        problem = f"no stable fixed point q* > 0{_reason(found)}"
    zero = next((p for p in found.points if p.q == 0.0 and p.stable), None)
    if asked is None:
        chosen = _basin(found, run, 1.0)
        notes = (f"{problem}; input_variance left out: taken as 1",)
        return Start(1.0, False, chosen.q if chosen else None, chosen.slope if chosen else None, notes)
    if zero is not None and not stable:
        note = f"{problem}; the variance decays to q* = 0, where every D is the slope of the activation at 0"
        return Start(0.0, True, 0.0, zero.slope, (note,))
    raise ConfigError(f'`input_variance = "fixed-point"`: {problem}; give a number.')


def _mixed(asked: float | str | None, runs: tuple[ResolvedRun, ...]) -> Start:
    q = runs[0].q_star
    common = q is not None and all(run.critical and run.q_star == q for run in runs)
    if common and q:
        previous = runs[0].spec.activation
        for run in runs:
            image = VarianceMap(previous, float(run.spec.sigma_w), float(run.spec.sigma_b or 0.0))(q)
            common = common and abs(image - q) <= 1e-12 * q
            previous = run.spec.activation
    if common and q is not None:
        if asked is None or asked == "fixed-point":
            return Start(_second(runs[0].spec.activation, q), True, q, None)
        return Start(float(asked), False, q, None)
    problem = "the layers differ and share no fixed point"
    if asked == "fixed-point":
        raise ConfigError(f'`input_variance = "fixed-point"`: {problem}; give a number.')
    if asked is None:
        return Start(1.0, False, None, None, (f"{problem}; input_variance left out: taken as 1",))
    return Start(float(asked), False, None, None, (problem,))


def _are_one(runs: Sequence[ResolvedRun]) -> bool:
    """Whether all layers are the same but for their widths."""
    return len({replace(run.spec, repeat=1, width=None) for run in runs}) == 1


def _resting(asked: float | str | None, rest: Level) -> Start:
    """Start of layers that come to rest by themselves."""
    if asked is None or isinstance(asked, str):
        return Start(rest.entering.second, True, rest.q, None, rest=rest)
    return Start(float(asked), False, rest.q, None, rest=rest)


def _moving(asked: float | str | None, runs: Sequence[ResolvedRun]) -> Start:
    """Start where layers add to x, so that its variance has no fixed point, or where no fixed point is known."""
    skips = not all(architecture_of(run.spec).rests for run in runs)
    problem = "layers with a skip have no fixed point" if skips else "the layers share no fixed point"
    if asked == FIXED_POINT:
        raise ConfigError(f'`input_variance = "{FIXED_POINT}"`: {problem}; give a number.')
    if asked is None:
        return Start(1.0, False, None, None, (f"{problem}; input_variance left out: taken as 1",))
    return Start(float(asked), False, None, None, (problem,))


def _basin(found: FixedPoints, run: ResolvedRun, variance: float) -> FixedPoint | None:
    """Stable fixed point that the variances move towards, by the sign of their first step."""
    w2, b2 = float(run.spec.sigma_w) ** 2, float(run.spec.sigma_b or 0.0) ** 2
    q = w2 * variance + b2
    stable = [p for p in found.points if p.stable]
    if not stable:
        return None
    if len(found.points) == 1:
        return stable[0]
    grows = run.map(q) > q
    ahead = [p for p in stable if (p.q >= q if grows else p.q <= q)]
    if not ahead:
        return None if found.diverges and grows else min(stable, key=lambda p: abs(p.q - q))
    return ahead[0] if grows else ahead[-1]


def _reason(found: FixedPoints) -> str:
    if found.diverges:
        return ": large variances grow without bound"
    unstable = [f"{p.q:.6g}" for p in found.points if not p.stable]
    return f": q* = {', '.join(unstable)} unstable" if unstable else ""


def _second(activation: Activation, q: float) -> float:
    return gaussian_moments(activation).at(q).second
