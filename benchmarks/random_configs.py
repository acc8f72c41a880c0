"""Predict random networks by the thousand: no crash, no hang, no NaN, no wrong law certified.

Run `python benchmarks/random_configs.py --count 10000 --seed 0 --jobs 2`.  One line of JSON per configuration that was
neither refused nor certified, then a table of outcomes; exit status 1 where something went wrong.

Outcomes: `certified`; `uncertified` (said so: fine, but counted); `refused` (ConfigError: the network has no critical
point, or the like); `unconverged` (ConvergenceError: said so, too); and the failures `false` (certified, yet the mass,
or an edge found again by a sweep, or the density at a random quantile by `spectra.continuation.locate`, disagrees),
`nan`, `hang` (beyond the time limit) and `crash`.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pool
from typing import Any

import numpy as np

from spectra import ConfigError, ConvergenceError, Network, Prediction, predict
from spectra.assembly import FINEST_LEVEL
from spectra.chart import Chart
from spectra.continuation import locate
from spectra.effort import limited
from spectra.guess import THIN
from spectra.master import MasterEquation
from spectra.network.jacobian import jacobian_equation
from spectra.survey import survey

ACTIVATIONS: tuple[Any, ...] = (
    "identity", "relu", "leaky_relu", {"name": "leaky_relu", "negative_slope": 0.3}, "prelu", "relu6", "elu", "selu",
    "celu", "gelu", {"name": "gelu", "approximate": "tanh"}, "silu", "mish", "softplus", "softsign", "tanh", "hardtanh",
    "sigmoid", "logsigmoid", "hardsigmoid", "hardswish", "erf", "sin", "shifted_relu", "smoothed_relu",
)  # fmt: skip
WEIGHTS = ("gaussian", "orthogonal")
WIDTHS = (10, 32, 50, 100, 128, 300, 784)
FAILURES = ("false", "nan", "hang", "crash")
# What `certified` promises: mass and density inside to 1e-10, edges to 1e-12 beside the rounding of log u.  Density and
# edges are found again with every layer in its own right and with laws of D² of this level: ten times as much is left.
MASS, DENSITY, EDGE, FINE = 1e-10, 1e-9, 1e-11, 5
# U, and with it every edge, is a sum of some hundred logarithms: good to this; edges are promised to 1e-12.
PLACE = 1e-13
# Log density below which a tail that begins is one that rises out of nothing.
NOTHING = -30.0
# Seconds for finding it again: with hundreds of layers in their own right that takes minutes.
SECOND_OPINION = 3.0


def random_config(rng: np.random.Generator) -> dict[str, Any]:
    """Keys of a `Network`: one or several layers, L = 1 … 300, q = 1e-6 … 1e2, critical or not, square or not."""
    config: dict[str, Any] = _layer(rng)
    depth = round(math.exp(rng.uniform(0.0, math.log(300.0))))
    critical = rng.random() < 0.5
    q = float(f"{10.0 ** rng.uniform(-6.0, 2.0):.4g}")
    if critical:
        config["sigma_w"] = "critical"
        if rng.random() < 0.8:
            config["q_star"] = q
        else:
            config["sigma_b"] = float(f"{rng.uniform(0.0, 1.0):.3f}")
    else:
        config["sigma_w"] = float(f"{math.exp(rng.uniform(-0.7, 1.1)):.3f}")
        config["sigma_b"] = float(f"{rng.choice([0.0, rng.uniform(0.0, 1.0)]):.3f}")
    if not critical or rng.random() < 0.2:
        config["input_variance"] = q
    rectangular = rng.random() < 0.4
    if rectangular:
        config["input_width"] = int(rng.choice(WIDTHS))
    if rng.random() < 0.5 and not rectangular:
        return config | {"depth": depth}
    layers: list[dict[str, Any]] = []
    while depth > 0 and len(layers) < 4:
        repeat = min(depth, round(math.exp(rng.uniform(0.0, math.log(depth + 1.0)))))
        own: dict[str, Any] = {"repeat": repeat}
        if rng.random() < 0.5:
            own |= _layer(rng)
        if rectangular:
            own["width"] = int(rng.choice(WIDTHS))
        layers.append(own)
        depth -= repeat
    return config | {"layers": layers}


def _layer(rng: np.random.Generator) -> dict[str, Any]:
    activation = ACTIVATIONS[rng.integers(len(ACTIVATIONS))]
    return {"activation": activation, "weights": WEIGHTS[rng.integers(2)]}


@dataclass(frozen=True)
class Outcome:
    """What became of one configuration."""

    kind: str
    detail: str
    seconds: float
    config: dict[str, Any]


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the main thread when the time is over."""

    def expire(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def examine(config: dict[str, Any], rng: np.random.Generator, limit: float = 20.0) -> Outcome:
    """Predict, and try to catch the prediction out."""
    began = time.perf_counter()
    seconds = math.nan
    try:
        with time_limit(limit):
            found = predict(Network(**config))
        seconds = time.perf_counter() - began
        kind, detail = _verdict(found, rng, limit)
    except ConfigError as error:
        kind, detail = "refused", str(error)
    except ConvergenceError as error:
        kind, detail = "unconverged", str(error)
    except TimeoutError:
        kind, detail = "hang", f"more than {limit:g} s"
    except Exception as error:  # whatever it is, it is a crash to be reported
        kind, detail = "crash", f"{type(error).__name__}: {error}"
    if math.isnan(seconds):
        seconds = time.perf_counter() - began
    return Outcome(kind, detail, seconds, config)


def _verdict(found: Prediction, rng: np.random.Generator, limit: float = 20.0) -> tuple[str, str]:
    law, checks = found.spectrum, found.checks
    p = np.sort(rng.uniform(0.0, 1.0, 3))
    u = law.quantile_at(p)
    shown = {
        "quantiles": u,
        "log density": law.log_density_at(u[np.isfinite(u)]),
        "cdf": law.mass_at_or_below(u),
        "support": np.array(law.log_support),
        "bulks": np.array(law.bulks),
        "atoms": np.array([(a.location, a.mass) for a in law.atoms]),
        "checks": np.array([checks.residual, checks.mass_defect]),
        "moments": found.moments(4),
    }
    for name, values in shown.items():
        if np.any(np.isnan(values)):
            return "nan", name
    if not checks.certified:
        return "uncertified", f"mass {checks.mass_defect:.1e}, residual {checks.residual:.1e}"
    if not abs(law.total_mass - 1.0) < MASS or not checks.residual < 1e-11:
        return "false", f"mass {law.total_mass - 1.0:.1e}, residual {checks.residual:.1e}"
    cdf = law.mass_at_or_below(u)
    # What lies within the rounding of U, much where a law crowds at its top, belongs to either side.
    place = np.where(np.isfinite(u), u, 0.0)
    beside = 4e-16 * (1.0 + np.abs(place)) * np.exp(law.log_density_at(place))
    if np.any(cdf < p - MASS - np.where(np.isfinite(u), beside, 0.0)):
        return "false", f"cdf(icdf({p})) = {cdf}"
    finite = [float(x) for x in u[np.isfinite(u)]]
    # At atoms and within the rounding of U from an edge there is nothing to compare.
    ends = [at for at, _ in law.log_atoms] + [end for arc in law.arcs for end in (arc.low, arc.high)]
    away = [x for x in finite if all(abs(x - end) > 1e-9 * (1.0 + abs(end)) for end in ends if math.isfinite(end))]
    try:
        with time_limit(min(limit, SECOND_OPINION)):
            wrong = _found_again(found, away)
    except (TimeoutError, ConvergenceError):  # the slow route gave up: no evidence either way
        wrong = ""
    return ("false", wrong) if wrong else ("certified", "")


def _found_again(found: Prediction, places: list[float]) -> str:
    """Describe the first U at which the sure and slow continuation finds another density; empty if none."""
    equation = jacobian_equation(found.mean_field, level=FINE, extra=len(found.mean_field.runs))
    for place in places:
        root = locate(equation, np.array([place]), max_steps=400)
        here = float(found.spectrum.log_density_at(np.array([place]))[0])
        again = float(equation.log_density(root.zeta)[0])
        # Beside the edges of a narrow bulk the density is as uncertain as U, and as the root found again: by how much
        # it changes over that.  Where that is a factor, as where slopes crowd at a limit, there is nothing to say.
        beside = np.array([-1.0, 0.0, 1.0]) * max(PLACE, float(root.residual[0])) * (1.0 + abs(place)) + place
        steep = float(np.ptp(found.spectrum.log_density_at(beside)))
        if root.certified[0] and steep < 1.0 and not abs(here - again) < DENSITY + steep:
            return f"log density at U = {place!r}: {here:.15g}, found again as {again:.15g}"
    wrong = _edges_again(found, equation)
    if wrong:
        # An edge at the very end of its law shows to laws as fine as the prediction's own, and to finer ones.
        finest = jacobian_equation(found.mean_field, level=FINEST_LEVEL + 1, extra=len(found.mean_field.runs))
        wrong = _edges_again(found, finest)
    return wrong


def _edges_again(found: Prediction, equation: MasterEquation) -> str:
    """Describe the first square-root edge that a sweep finds elsewhere; empty if none, or if the sweep fails."""
    with limited():
        arcs = survey(equation).arcs
    charts = [arc for arc in found.spectrum.arcs if isinstance(arc, Chart)]
    if len(charts) != len(found.spectrum.arcs) or len(charts) != len(arcs):
        # Beside atoms an arc is one of several parts.
        return ""
    for chart, arc in zip(charts, arcs, strict=True):
        ends = (
            (chart.low, chart.exponent_low, arc.first, float(arc.log_u[0])),
            (chart.high, chart.exponent_high, arc.last, float(arc.log_u[-1])),
        )
        for here, exponent, edge, begun in ends:
            place = begun if edge is None else float(edge.log_u)
            at, inside = found.spectrum.log_density_at(np.array([here, here + 1e-9 * (1.0 + abs(here))])).tolist()
            thin = at < THIN
            if (edge is None or (exponent == 0.0 and thin)) and abs(here - place) < EDGE * (1.0 + abs(here)):
                # In a thin tail the same place is an edge to one resolution, and where a cut begins to another.
                continue
            if here == chart.low and exponent == 0.0 and edge is None and inside > NOTHING:
                # Where a density begins with no edge, though not with next to nothing.
                return f"edge at U = {here!r} of exponent 0, where nothing is: the density begins at {place!r}"
            if exponent == 0.5 and edge is not None and not abs(here - edge.log_u) < EDGE * (1.0 + abs(here)):
                return f"edge at U = {here!r}, found again at {float(edge.log_u)!r}"
            if (exponent == 0.5) != (edge is not None and edge.exponent == 0.5):
                return f"edge at U = {here!r} of exponent {exponent}, found again as {edge}"
    return ""


def _numbered(index: int, seed: int, limit: float) -> Outcome:
    rng = np.random.default_rng([seed, index])
    return examine(random_config(rng), rng, limit)


def main() -> int:
    """Run the battery and print what it met."""
    parser = argparse.ArgumentParser(description="Predict random networks by the thousand.")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="index of the first configuration")
    parser.add_argument("--limit", type=float, default=20.0, help="seconds allowed for one configuration")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    seconds: list[float] = []
    job = partial(_numbered, seed=options.seed, limit=options.limit)
    indices = range(options.first, options.first + options.count)
    with Pool(options.jobs) as pool:
        for index, outcome in zip(indices, pool.imap(job, indices, chunksize=4), strict=True):
            counts[outcome.kind] += 1
            if outcome.kind not in ("refused", "certified"):
                line = {"index": index, "outcome": outcome.kind, "detail": outcome.detail, "config": outcome.config}
                print(json.dumps(line), flush=True)
            if outcome.kind != "refused":
                seconds.append(outcome.seconds)
    print(f"{options.count} configurations, seed {options.seed}:")
    for kind, count in counts.most_common():
        print(f"  {kind:<12} {count:>6}  {100.0 * count / options.count:6.2f} %")
    if seconds:
        print(f"  seconds a prediction: median {np.median(seconds):.3f}, 99 % {np.quantile(seconds, 0.99):.3f}")
    return int(any(counts[kind] for kind in FAILURES))


if __name__ == "__main__":
    raise SystemExit(main())
