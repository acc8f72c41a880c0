"""How far the law is from tests/golden_spectra.json, made by mpmath twins.

Run `python benchmarks/accuracy.py`.  One line per case: largest relative error of the density (points at least 1 % of
the support from its edges), of the edges, of the moments m_1, m_2/m_1², m_3, and the absolute one of the atoms.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import signal
import time
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from spectra.activations import get_activation
from spectra.assembly import spectrum_of
from spectra.errors import ConvergenceError
from spectra.laws.pushforward import slope_law
from spectra.network.config import LayerSpec
from spectra.network.jacobian import jacobian_equation
from spectra.network.meanfield import LayerState, MeanField

SOURCE = Path(__file__).parents[1] / "tests" / "golden_spectra.json"
# The twins' `erf` is the plain error function; the package's has slope 1 at 0.
TWIN_NAMES: dict[str, Any] = {
    "erf": {"expr": "erf(x)"},
    "leaky_relu(0.2)": {"name": "leaky_relu", "negative_slope": 0.2},
}
# What is asked: relative, density away from the edges; edges; moments grow with depth by rounding alone.
GOALS = {"density": 1e-10, "edge": 1e-12, "moments": 1e-10, "atoms": 1e-12}


@dataclass(frozen=True)
class Errors:
    """Of one case; nan where there is nothing to compare."""

    density: float
    edge: float
    moments: float
    atoms: float


def layers_of(case: dict[str, Any]) -> tuple[LayerState, ...]:
    """Layers of a golden case, in the state (q, χ) that the twins have them in."""
    runs = []
    for x in case["layers"]:
        phi = get_activation(TWIN_NAMES.get(x["activation"], x["activation"]))
        chi = 1.0 if x["critical"] else float(x["sigma_w2"]) * float(x["mu_1"])
        mean = slope_law(phi, float(x["q"])).mean
        fan_in, fan_out = (x["fan_in"], x["fan_out"]) if x["fan_in"] > 1 else (None, None)
        spec = LayerSpec(phi, x["weights"], math.sqrt(chi / mean), 0.0, width=fan_out, repeat=x["repeat"])
        runs.append(LayerState(spec, float(x["q"]), mean, chi, fan_in, fan_out, x["repeat"]))
    return tuple(runs)


def examine(case: dict[str, Any]) -> tuple[Errors, bool]:
    """Errors of the law of one case, and whether every node of it was certified."""
    field = MeanField(layers_of(case), 1.0, None, None, "critical", None, None, ())
    built = spectrum_of(jacobian_equation(field), partial(jacobian_equation, field))
    law = built.spectrum
    x = np.array([float(point["lambda"]) for point in case["points"]])
    density = np.array([float(point["density"]) for point in case["points"]])
    low, high = law.support()
    edges = [_relative(high, case["lambda_max"])]
    if "lambda_min" in case:
        edges.append(_relative(low, case["lambda_min"]))
    if "bulk_edge" in case:
        edges.append(_relative(law.bulks[-1][1], case["bulk_edge"]))
    scaled = np.exp(law.log_scaled_moments(3))
    first = math.exp(law.log_mean)
    moments = [
        _relative(first, case["m_1"]),
        _relative(scaled[1], case["m_2_over_m_1_squared"]),
        _relative(scaled[2] * first**3, case["m_3"]),
    ]
    atoms = [abs(law.atom_at_zero - float(case["atom_at_zero"]))]
    if "atom_at_lambda_max" in case:
        atoms.append(abs(law.log_atoms[0][1] - float(case["atom_at_lambda_max"])))
    worst = float(np.max(np.abs(law.pdf(x) / density - 1.0))) if x.size else math.nan
    return Errors(worst, max(edges), max(moments), max(atoms)), built.uncertified == 0


def _relative(found: float, exact: str) -> float:
    return abs(float(found) / float(exact) - 1.0) if float(exact) else abs(float(found))


def _expire(*_: object) -> None:
    raise TimeoutError("took too long")


def main() -> int:
    """Print the table, the worst of each column, and what misses its goal."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="every 20th case")
    parser.add_argument("--json", help="write the numbers here, too")
    parser.add_argument("--limit", type=int, default=30, help="seconds allowed for one case")
    options = parser.parse_args()
    signal.signal(signal.SIGALRM, _expire)
    golden = json.loads(SOURCE.read_text())["cases"]
    names = list(golden)[:: 20 if options.quick else 1]
    columns = [f.name for f in fields(Errors)]
    print(f"Python {platform.python_version()}, numpy {np.__version__}; {len(names)} cases")
    print(f"{'case':<44}" + "".join(f"{c:>10}" for c in columns))
    table: dict[str, Errors] = {}
    start = time.perf_counter()
    for name in names:
        signal.alarm(options.limit)
        try:
            table[name], certified = examine(golden[name])
        except (ConvergenceError, TimeoutError) as error:
            print(f"{name:<44}failed: {error}", flush=True)
            continue
        finally:
            signal.alarm(0)
        row = "".join(f"{getattr(table[name], c):>10.1e}" for c in columns)
        print(f"{name:<44}{row}{'' if certified else '  uncertified'}", flush=True)
    print(f"{'goal':<44}" + "".join(f"{GOALS[c]:>10.0e}" for c in columns))
    failed = [name for name in names if name not in table]
    names = list(table)
    worst = {c: max(names, key=lambda name, c=c: np.nan_to_num(getattr(table[name], c))) for c in columns}
    print(f"{'worst':<44}" + "".join(f"{getattr(table[worst[c]], c):>10.1e}" for c in columns))
    missed = {c: [n for n in names if getattr(table[n], c) > GOALS[c]] for c in columns}
    for column, cases in missed.items():
        print(f"{column}: {len(names) - len(cases)} of {len(names)} within the goal; worst: {worst[column]}")
    print(f"{len(failed)} failed; {time.perf_counter() - start:.1f} s in all")
    if options.json:
        report = {name: {c: getattr(errors, c) for c in columns} for name, errors in table.items()}
        Path(options.json).write_text(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
