"""Time and error of the density of a new law: here, with rmtool, with freealg.

Run `python benchmarks/peers.py` in an environment of its own, with this package, rmtool and freealg.  Neither peer is a
dependency; one that is not installed is named and left out.

Timed: the law built anew and its density at 1000 points uniform in the bulk; imports and a first call (compilation)
are left out.  Our caches are emptied before every repetition, the peers' are not.  Truth: 30 digits.

Ways to use the peers, as they document them:
`rmtool`: polynomial by `AtimesWish`, then `Lmz2pdf`; above degree 3 all roots come back and `best_density` picks.
`rmtool, oracle`: of all its roots the one nearest to the truth.
`freealg`: the named law with the default distance from the axis, or with `eta` = 1e-12.
`freealg, fit`: `AlgebraicForm.fit` with the exact degrees and shape, then `density` at distance 1e-12.
`freealg, exact`: its root finder given the exact polynomial, which its public functions do not offer.
The second and the last are help that no user has: they show what the peer's arithmetic is capable of.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import math
import platform
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
from mpmath import mp
from threadpoolctl import threadpool_info

from spectra import Network, free_power, predict
from spectra.laws import FussCatalan, MarchenkoPastur
from spectra.network.jacobian import _slope_law

# A peer counts as correct up to this relative error at every point.
CORRECT = 1e-6
# A point is off when its relative error exceeds this.
OFF = 1e-3
# Routes that know the answer, or reach behind the peer's public functions.
AIDED = ("rmtool, oracle", "freealg, exact")
OURS = "spectra"


@dataclass(frozen=True)
class Case:
    """⊠ of `depth` Marchenko-Pastur laws of one `ratio`: λ w = (1 + w)(1 + ratio·w)^depth, w = ψ."""

    name: str
    depth: int
    ratio: float
    ours: dict[str, Callable[[], Any]]

    def bulk(self) -> tuple[float, float]:
        """Both ends of the bulk, from d log λ/dw = 0: ratio·depth·w² + ratio·(depth − 1)·w = 1."""
        c, n = self.ratio, self.depth
        ends = [(1 + w) * (1 + c * w) ** n / w for w in np.roots([n * c, (n - 1) * c, -1.0]).real]
        # With a ratio of one or more there is a hard edge: the other zero lies beyond w = −1/ratio.
        return (min(ends) if c < 1.0 else 0.0), max(ends)

    def points(self, count: int) -> np.ndarray:
        """Midpoints of `count` equal cells of the bulk."""
        low, high = self.bulk()
        return low + (high - low) * (np.arange(count) + 0.5) / count

    def truth(self, x: np.ndarray) -> np.ndarray:
        """Density at increasing x: continued from the upper edge in doubles, then Newton at 30 digits.

        The root above the axis where arg w = arg(1 + w) + depth·arg(1 + ratio·w) is the only one, so this condition,
        asserted at every point, is all the proof that is needed.
        """
        c, n = self.ratio, self.depth
        edge = max(np.roots([n * c, (n - 1) * c, -1.0]).real)
        bend = 1 / edge**2 - 1 / (1 + edge) ** 2 - n * (c / (1 + c * edge)) ** 2
        top = math.log(1 + edge) + n * math.log(1 + c * edge) - math.log(edge)
        w = edge + 1j * math.sqrt(2.0 * (top - math.log(x[-1])) / bend)
        here, density = math.log(x[-1]), np.zeros(x.size)
        with mp.workdps(30):
            for i in range(x.size - 1, -1, -1):
                w = self._continue(w, here, math.log(x[i]))
                here = math.log(x[i])
                exact, target = mp.mpc(w), mp.log(mp.mpf(float(x[i])))
                for _ in range(3):
                    value, slope = self._log_lambda(exact, mp.log)
                    exact -= (value - target) / slope
                value, _ = self._log_lambda(exact, mp.log)
                assert abs(value - target) < mp.mpf(10) ** -24
                assert exact.imag > 0
                density[i] = float(exact.imag / (mp.pi * mp.mpf(float(x[i]))))
        return density

    def _log_lambda(self, w: Any, log: Callable[[Any], Any]) -> tuple[Any, Any]:
        c, n = self.ratio, self.depth
        return log(1 + w) + n * log(1 + c * w) - log(w), 1 / (1 + w) + n * c / (1 + c * w) - 1 / w

    def _continue(self, w: complex, start: float, end: float) -> complex:
        """From the root at log λ = start to that at `end`; the step is halved where Newton's method goes astray."""
        here, step = start, end - start
        while True:
            target = here + step
            trial = w
            for _ in range(30):
                value, slope = self._log_lambda(trial, np.log)
                move = (target - value) / slope
                trial = complex(trial + move * min(1.0, 0.3 * trial.imag / abs(move))) if move else trial
                if abs(move) < 1e-12 * abs(trial):
                    break
            value, _ = self._log_lambda(trial, np.log)
            if trial.imag > 0 and abs(value - target) < 1e-9 * (1.0 + abs(target)):
                w, here = trial, target
                if here == end:
                    return w
                step = end - here
            else:
                step *= 0.5
                assert abs(step) > 1e-9, "the reference lost its root; please report this."


def cases(*, quick: bool) -> list[Case]:
    """Fuss-Catalan laws, a product of two Marchenko-Pastur laws, ReLU networks (ratio 2: half of D² is 0)."""

    def linear(depth: int) -> Case:
        net = Network(depth=depth, activation="identity", weights="gaussian", sigma_w=1.0)
        built = {"predict": lambda: predict(net).spectrum, "law": lambda: FussCatalan(depth).spectrum()}
        return Case(f"Fuss-Catalan {depth}", depth, 1.0, built)

    def relu(depth: int) -> Case:
        net = Network(depth=depth, activation="relu", weights="gaussian", sigma_w=math.sqrt(2.0), input_variance=1.0)
        return Case(f"ReLU Gaussian, L = {depth}", depth, 2.0, {"predict": lambda: predict(net).spectrum})

    half = Case("MP(1/2) ⊠ MP(1/2)", 2, 0.5, {"law": lambda: free_power(MarchenkoPastur(0.5), 2).spectrum()})
    if quick:
        return [linear(2), half]
    return [*map(linear, (2, 5, 10, 50)), half, *map(relu, (5, 10, 50))]


# -- peers: (case, points) → candidates for the density, (n,) or, where a choice is left to the user, (n, choices) ----


def rmtool_routes(rmtool: Any) -> dict[str, Callable[[Case, np.ndarray], np.ndarray]]:
    """`rmtool`: with its own choice of root, and with all its roots."""

    def solved(case: Case, x: np.ndarray) -> Any:
        polynomial = rmtool.wishartpol(case.ratio)
        for _ in range(case.depth - 1):
            polynomial = rmtool.AtimesWish(polynomial, case.ratio)
        return rmtool.Lmz2pdf(polynomial, x)

    return {
        "rmtool": lambda case, x: solved(case, x).best_density(),
        "rmtool, oracle": lambda case, x: np.imag(solved(case, x).rr) / math.pi,
    }


def freealg_routes(freealg: Any) -> dict[str, Callable[[Case, np.ndarray], np.ndarray]]:
    """`freealg`: the named law as it comes and close to the axis, and a fitted polynomial."""

    def named(case: Case) -> Any:
        if case.ratio != 1.0:
            raise NotImplementedError("no such named law")
        return freealg.distributions.FussCatalan(case.depth)

    def fitted(case: Case, x: np.ndarray) -> np.ndarray:
        options = {"delta": 1e-12, "method": "direct"}
        if case.ratio == 1.0:
            form = freealg.AlgebraicForm(named(case), inv_stieltjes_opt=options)
        else:
            form = freealg.AlgebraicForm(_transform(case), support=[case.bulk()], inv_stieltjes_opt=options)
        # No z without an m: tells the fit which coefficients vanish.
        form.fit(deg_m=case.depth + 1, deg_z=case.depth, triangular=(0, None))
        return form.density(x)

    def exact(case: Case, x: np.ndarray) -> np.ndarray:
        solver = importlib.import_module("freealg._algebraic_form.algebraic_form").StieltjesPoly
        return np.imag(solver(_polynomial(case))(x + 1e-12j)) / math.pi

    routes = {
        "freealg": lambda case, x: named(case).density(x),
        "freealg, eta": lambda case, x: named(case).density(x, eta=1e-12),
        "freealg, fit": fitted,
        "freealg, exact": exact,
    }
    # It compiles for some 20 s when first called.
    small = Case("", 2, 1.0, {})
    with redirect_stdout(io.StringIO()), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for route in routes.values():
            route(small, small.points(20))
    return routes


def _polynomial(case: Case) -> np.ndarray:
    """Coefficients of z^i m^j in z m + 1 − m (1 − ratio − ratio z m)^depth, m = E 1/(t − z)."""
    c, n = case.ratio, case.depth
    table = np.zeros((n + 1, n + 2), complex)
    for k in range(n + 1):
        table[k, k + 1] = -math.comb(n, k) * (1.0 - c) ** (n - k) * (-c) ** k
    table[0, 0] += 1.0
    table[1, 1] += 1.0
    return table


def _transform(case: Case) -> Callable[[np.ndarray], np.ndarray]:
    """Stieltjes transform E 1/(t − z) that `freealg` is to fit: Newton's method, followed in from large |z|."""

    def transform(z: np.ndarray) -> np.ndarray:
        below = np.imag(z) < 0
        up = np.where(below, np.conj(z), z)
        w = 1.0 / (up + 1j * 1e3)
        for height in [*np.geomspace(1e3, 1e-3, 60), 0.0]:
            here = up + 1j * height
            for _ in range(6):
                value, slope = case._log_lambda(w, np.log)
                move = (np.log(here) - value) / slope
                w = w + move * np.minimum(1.0, 0.3 * np.abs(w) / (np.abs(move) + 1e-300))
        m = -(1.0 + w) / up
        return np.where(below, np.conj(m), m)

    return transform


# -- measurement ------------------------------------------------------------------------------------------------------


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError when the time is over."""

    def expire(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def errors(found: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """Largest and median relative error; of several candidates the nearest; a point without a value counts as 1."""
    choices = np.where(np.isnan(found), 0.0, found).reshape(exact.size, -1)
    error = np.min(np.abs(choices / exact[:, None] - 1.0), axis=1)
    return {"error": float(np.max(error)), "median": float(np.median(error)), "off": float(np.mean(error > OFF))}


def ours(build: Callable[[], Any], x: np.ndarray, exact: np.ndarray, repeats: int) -> dict[str, Any]:
    """Median seconds of a cold law with its density, the density alone, and the error."""
    law = build()
    total, again = [], []
    for _ in range(repeats):
        _slope_law.cache_clear()
        start = time.perf_counter()
        law = build()
        found = law.pdf(x)
        total.append(time.perf_counter() - start)
        start = time.perf_counter()
        law.pdf(x)
        again.append(time.perf_counter() - start)
    return {
        "seconds": float(np.median(total)),
        "best": min(total),
        "density_seconds": float(np.median(again)),
    } | errors(found, exact)


def peer(
    route: Callable[[Case, np.ndarray], np.ndarray], case: Case, x: np.ndarray, exact: np.ndarray, limit: float
) -> dict[str, Any]:
    """Best seconds of up to four calls, the first left out where there is time for more, and the error."""
    seconds: list[float] = []
    try:
        with time_limit(limit), warnings.catch_warnings(), np.errstate(all="ignore"), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            while len(seconds) < 4 and (len(seconds) < 2 or sum(seconds) < 0.3 * limit):
                start = time.perf_counter()
                found = route(case, x)
                seconds.append(time.perf_counter() - start)
    except TimeoutError:
        if not seconds:
            return {"failed": f"more than {limit:g} s"}
    except Exception as problem:  # whatever a peer raises is its result
        return {"failed": f"{type(problem).__name__}: {problem}"[:80]}
    return {"seconds": min(seconds), "first_call": seconds[0]} | errors(np.asarray(found), exact)


def main() -> int:
    """Measure every case and print one table."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two small cases, 50 points, a short limit")
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--limit", type=float, default=20.0, help="seconds allowed for one peer on one case")
    parser.add_argument("--json", help="write the numbers here, too")
    options = parser.parse_args()
    count, limit, repeats = (50, 5.0, 3) if options.quick else (options.points, options.limit, 15)
    routes: dict[str, Callable[[Case, np.ndarray], np.ndarray]] = {}
    for name, make in (("rmtool", rmtool_routes), ("freealg", freealg_routes)):
        try:
            routes |= make(importlib.import_module(name))
        except ImportError:
            print(f"{name} is not installed: left out")
    threads = [f"{x['internal_api']} {x['num_threads']}" for x in threadpool_info()]
    print(f"Python {platform.python_version()}, numpy {np.__version__}; threads: {', '.join(threads)}")
    print(f"{count} points; seconds of the law built anew and its density; relative errors; off: share above {OFF:g}\n")
    print(f"{'case':<24}{'route':<18}{'ms':>10}{'largest':>10}{'median':>10}{'off':>7}{'ratio':>10}")
    results = []
    for case in cases(quick=options.quick):
        x = case.points(count)
        exact = case.truth(x)
        mine = {f"{OURS} {way}": ours(build, x, exact, repeats) for way, build in case.ours.items()}
        others = {name: peer(route, case, x, exact, limit) for name, route in routes.items()}
        base = next(iter(mine.values()))["seconds"]
        for name, row in (mine | others).items():
            show(case.name, name, row, base)
        best = {}
        for label, allowed in (("unaided", set(others) - set(AIDED)), ("with help", set(others))):
            right = [others[n]["seconds"] for n in allowed if others[n].get("error", 1.0) < CORRECT]
            best[label] = min(right) / base if right else None
        shown = ", ".join(f"{label} {f'{ratio:.1f}×' if ratio else 'none'}" for label, ratio in best.items())
        print(f"{'':<24}best correct peer: {shown}\n", flush=True)
        results.append({"case": case.name, "ours": mine, "peers": others, "best_correct_peer": best})
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=1)
    return 0


def show(case: str, name: str, row: dict[str, Any], base: float) -> None:
    if "failed" in row:
        print(f"{case:<24}{name:<18}{row['failed']}", flush=True)
        return
    mark = "" if row["error"] < CORRECT else "  wrong"
    size = f"{row['error']:>10.1e}{row['median']:>10.1e}{row['off']:>7.1%}"
    print(f"{case:<24}{name:<18}{1e3 * row['seconds']:>10.2f}{size}{row['seconds'] / base:>9.1f}×{mark}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
