"""Every activation, both weights, depth 1 to 1024: certified, fast, and right by a second route.

Run `python benchmarks/every_activation.py`.  Each network is predicted; its density is found again, at three quantiles
of each arc and 1 % of each bulk from its edges, by `spectra.continuation.locate`: a homotopy that knows nothing of the
sweep, on an equation with every layer in its own right and with laws of D² that are resolved far more finely.  Printed:
what is uncertified, slow (1 s) or off (1e-10; 1e-9 beside edges), then counts.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spectra import ConfigError, ConvergenceError, Network, Prediction, predict
from spectra.continuation import locate
from spectra.network.jacobian import jacobian_equation

ACTIVATIONS: tuple[Any, ...] = (
    "identity", "relu", "leaky_relu", "prelu", "relu6", "elu", "selu", "celu", "gelu", "gelu_tanh", "silu", "mish",
    "softplus", "softsign", "tanh", "hardtanh", "sigmoid", "logsigmoid", "hardsigmoid", "hardswish", "erf", "sin",
    "shifted_relu", "smoothed_relu",
)  # fmt: skip
DEPTHS = (1, 2, 3, 10, 32, 128, 512, 1024)
SETTINGS: tuple[dict[str, Any], ...] = (
    *({"sigma_w": "critical", "q_star": q} for q in (0.01, 0.1, 1.0, 10.0)),
    *({"sigma_w": s, "sigma_b": 0.2, "input_variance": 1.0} for s in (1.0, 1.5)),
)
SHARES = (0.1, 0.5, 0.9)
# What is asked of the density, in the interior and 1 % from an edge; of moments and mass; seconds for a prediction.
INTERIOR, BESIDE, MOMENTS, SLOW = 1e-10, 1e-9, 1e-10, 1.0
# Relative distance from an edge below which the rounding of λ is felt in the density.
AWAY = 1e-4
# A bulk that holds less than this is a thin tail: next to none of it is denser than the limit below.
COUNTED = 1e-6
# Log of the density in log λ below which its rounding of 1e-16 would be seen among the goals.
THIN = -18.0
# Laws of D² in the second opinion; the prediction itself stops at 2 or 3, save beside corners.
LEVEL = 6
# Layers in their own right cost too much beyond so many different ones; the rules over many are refined instead.
DISTINCT = 12


@dataclass(frozen=True)
class Outcome:
    """One network: how it went, and the largest errors found; nan where nothing could be compared."""

    case: str
    verdict: str
    seconds: float = math.nan
    mass: float = math.nan
    moments: float = math.nan
    interior: float = math.nan
    beside: float = math.nan
    points: int = 0
    note: str = ""

    @property
    def bad(self) -> bool:
        """Worth a line."""
        errors = (abs(self.mass) > MOMENTS, self.moments > MOMENTS, self.interior > INTERIOR, self.beside > BESIDE)
        return self.verdict not in ("certified", "refused") or self.seconds > SLOW or any(errors)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError when the time is over."""

    def expire(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def places(found: Prediction) -> tuple[list[float], list[float]]:
    """U at quantiles of the arcs that count, and 1 % of the bulks away from their ends."""
    law = found.spectrum
    arcs = [arc for arc in law.arcs if arc.mass > COUNTED]
    inner = [float(u) for arc in arcs for u in arc.invert(arc.mass * np.array(SHARES))]
    # Much of a law may crowd within the rounding of λ from its top: there is no interior there.
    ends = [end for arc in arcs for end in (arc.low, arc.high) if math.isfinite(end)]
    inner = [u for u in inner if math.isfinite(u) and all(abs(u - end) > AWAY * (1.0 + abs(end)) for end in ends)]
    outer = []
    for low, high in law.bulks:
        held = float(law.cdf(high) - law.cdf(low))
        if held > COUNTED and math.isfinite(high):
            ends = (low + 0.01 * (high - low), high - 0.01 * (high - low))
            outer += [-math.log(x) for x in ends if x > 0.0]
    return inner, outer


def check(found: Prediction, limit: float) -> tuple[float, float, int]:
    """Largest relative errors of the density, inside and beside edges, and at how many points it was found again."""
    state = found.mean_field
    distinct = len({run.q for run in state.runs})
    equation = jacobian_equation(state, level=LEVEL, extra=distinct if distinct <= DISTINCT else 8)
    worst, count = [0.0, 0.0], 0
    for which, wanted in enumerate(places(found)):
        for u in wanted:
            try:
                with time_limit(limit):
                    root = locate(equation, np.array([u]), max_steps=600)
            except (ConvergenceError, TimeoutError):
                continue
            # Where there is next to no density, its rounding is that of what is not thin.
            if not root.certified[0] or equation.log_share(root.zeta)[0] < THIN:
                continue
            again = float(equation.log_density(root.zeta)[0])
            here = float(found.spectrum.log_density_at(np.array([u]))[0])
            worst[which] = max(worst[which], abs(math.expm1(here - again)))
            count += 1
    return worst[0], worst[1], count


def examine(activation: str, weights: str, depth: int, setting: dict[str, Any], limit: float) -> Outcome:
    """Predict one network and look for errors."""
    shown = " ".join(f"{key}={value:g}" for key, value in setting.items() if not isinstance(value, str))
    spec = {"name": "gelu", "approximate": "tanh"} if activation == "gelu_tanh" else activation
    case = f"{activation} {weights} L={depth} {shown}"
    began = time.perf_counter()
    try:
        with time_limit(limit):
            found = predict(Network(activation=spec, weights=weights, depth=depth, **setting))
    except ConfigError as error:
        return Outcome(case, "refused", note=str(error))
    except ConvergenceError as error:
        return Outcome(case, "unconverged", time.perf_counter() - began, note=str(error))
    except TimeoutError:
        return Outcome(case, "timeout", limit)
    seconds = time.perf_counter() - began
    checks = found.checks
    verdict = "certified" if checks.certified else "uncertified"
    moments = max(map(abs, checks.moment_defects))
    interior, beside, count = check(found, 0.2 * limit)
    note = "; ".join(checks.notes)
    return Outcome(case, verdict, seconds, checks.mass_defect, moments, interior, beside, count, note)


def main() -> int:
    """Print the cases that fall short, then the counts."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two activations, two depths, one setting")
    parser.add_argument("--json", help="write every outcome here, too")
    parser.add_argument("--limit", type=float, default=20.0, help="seconds allowed for one prediction")
    parser.add_argument("--only", nargs="*", help="these activations only")
    parser.add_argument("--depths", nargs="*", type=int, help="these depths only")
    parser.add_argument("--critical", action="store_true", help="critical networks only")
    options = parser.parse_args()
    activations = options.only or (("relu", "tanh") if options.quick else ACTIVATIONS)
    depths = options.depths or ((1, 10) if options.quick else DEPTHS)
    settings = SETTINGS[2:3] if options.quick else SETTINGS[:4] if options.critical else SETTINGS
    print(f"Python {platform.python_version()}, numpy {np.__version__}")
    print(f"{'case':<62}{'verdict':<13}{'s':>7}{'mass':>9}{'moments':>9}{'density':>9}{'edges':>9}")
    outcomes: list[Outcome] = []
    for activation in activations:
        for weights in ("gaussian", "orthogonal"):
            for setting in settings:
                for depth in depths:
                    one = examine(activation, weights, depth, setting, options.limit)
                    outcomes.append(one)
                    if one.verdict == "refused":
                        break
                    if one.bad:
                        errors = "".join(f"{x:>9.1e}" for x in (one.mass, one.moments, one.interior, one.beside))
                        print(f"{one.case:<62}{one.verdict:<13}{one.seconds:>7.2f}{errors}  {one.note}", flush=True)
    kept = [one for one in outcomes if one.verdict != "refused"]
    certified = [one for one in kept if one.verdict == "certified"]
    flawed = sum(one.bad for one in certified)
    print(f"{len(certified)} of {len(kept)} networks certified, {flawed} of them slow or off")
    for name, goal in (("mass", MOMENTS), ("moments", MOMENTS), ("interior", INTERIOR), ("beside", BESIDE)):
        values = [abs(getattr(one, name)) for one in certified]
        print(f"  {name:<10} worst {max(values, default=0.0):.1e}, goal {goal:.0e}")
    print(f"  density found again at {sum(one.points for one in kept)} points")
    seconds = [one.seconds for one in kept]
    print(f"  seconds a prediction: median {np.median(seconds):.3f}, worst {max(seconds):.2f}")
    if options.json:
        Path(options.json).write_text(json.dumps([asdict(one) for one in outcomes], indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
