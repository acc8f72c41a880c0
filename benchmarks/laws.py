"""Sums and products of laws on the real line: time and error of the density and the moments; with rmtool, with freealg.

Run `python benchmarks/laws.py` in an environment of its own, with rmtool and freealg; one not installed is left out.

Timed, median of several: the law built anew and its density at 1000 points uniform in the bulks; imports and a first
call are left out.  Our caches are emptied before every repetition, the peers' (and sympy's) are not.

Truth: the fixed point of a self-map of the upper half plane that the Stieltjes transform satisfies, to 30 digits.  Such
a map has at most one fixed point in there unless it is the identity, so that no choice of a sheet is needed.

Ways to use the peers, as they document them:
`rmtool`: `AplusB` or `AtimesWish`, then `Lmz2pdf`; above degree 3 all roots come back and `best_density` picks.
`rmtool, oracle`: of all its roots the one nearest to the truth, which no user has.
`rmtool` moments: `Lmz2MomS`, exact (`Lmz2MomF` only calls it).
`freealg`: the named law, with the default distance from the axis or with `eta` = 1e-12; it adds no two laws, and its
`AlgebraicForm` asks for the transform, or for eigenvalues, of what is to be found.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import platform
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from mpmath import mp
from threadpoolctl import threadpool_info

from spectra import Network, parse_law
from spectra.exact.moments import jacobian_moments
from spectra.exact.power_series import rationals

# Correct is a relative error below the first at every point; off, one above the second.
CORRECT, OFF = 1e-6, 1e-3
OURS, DIGITS = "spectra", 30
HALF, PAIR, THIRDS = Fraction(1, 2), [Fraction(1, 2), Fraction(1, 5)], [Fraction(1, 3)] * 3

# U = step(u, z) with u and step(u, z) above the axis, and G(z) = green(u, z).
Equation = tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]


# -- truth: functions of numpy arrays and of mpmath numbers, with whole numbers only, so that both are exact -----------


def discrete(counts: dict[int, int]) -> Callable[[Any], Any]:
    """G of the law with masses proportional to `counts`."""
    return lambda y: sum(n / (y - a) for a, n in counts.items()) / sum(counts.values())


def semicircle_at_three(y: Any) -> Any:
    """G of the semicircle of variance 1 about 3, y above the axis."""
    root = np.sqrt if isinstance(y, np.ndarray) else mp.sqrt
    return 2 / (y - 3 + root(y - 1) * root(y - 5))


def semicircle_and(part: Callable[[Any], Any], k: int) -> Equation:
    """Variance 1/k: ω = z − G_B(ω)/k, G(z) = G_B(ω)."""
    return lambda u, z: z - part(u) / k, lambda u, _: part(u)


def sum_of(one: Callable[[Any], Any], two: Callable[[Any], Any]) -> Equation:
    """Subordination, ω = z + h_B(z + h_A(ω)), h(y) = 1/G(y) − y."""

    def step(u: Any, z: Any) -> Any:
        other = z + 1 / one(u) - u
        return z + 1 / two(other) - other

    return step, lambda u, _: one(u)


def poisson_times(part: Callable[[Any], Any], k: int) -> Equation:
    """MP(1/k) * B: y = z/(1 + w/k) and 1 + w = y G_B(y) = z G(z)."""
    return lambda u, z: k * z / (k - 1 + u * part(u)), lambda u, z: u * part(u) / z


def truth(equation: Equation, x: np.ndarray) -> np.ndarray:
    """Density at points inside the bulks: the averaged iteration in doubles, then Newton's method with 40 digits."""
    (step, green), u, moved = equation, x + 1j, 1.0
    while moved > 1e-9:
        # The average with u leaves the fixed point where it is, and stops the map from turning about it.
        new = 0.5 * (u + step(u, x))
        moved, u = float(np.max(np.abs(new / u - 1.0))), new
    density = np.zeros(x.size)
    with mp.workdps(DIGITS + 10):
        small = mp.mpf(10) ** -15
        for i in range(x.size):
            z, root = mp.mpf(float(x[i])), mp.mpc(complex(u[i]))
            for _ in range(5):
                here, there = (step(v, z) - v for v in (root, root * (1 + small)))
                root -= here * root * small / (there - here)
            assert abs(step(root, z) - root) < mp.mpf(10) ** -DIGITS * abs(root)
            assert root.imag > 1e-6 * abs(root), f"{x[i]} is no point of a bulk"
            density[i] = float(-green(root, z).imag / mp.pi)
    return density


# -- cases ------------------------------------------------------------------------------------------------------------

TERNARY = discrete({-1: 1, 0: 1, 2: 1})
EQUATIONS: dict[str, Equation] = {
    "semicircle(1) + bernoulli(1/2)": semicircle_and(discrete({0: 1, 1: 1}), 1),
    "bernoulli(3/5) + bernoulli(7/10)": sum_of(discrete({0: 2, 1: 3}), discrete({0: 3, 1: 7})),
    "semicircle(1/10) + discrete([-1, 0, 2])": semicircle_and(TERNARY, 10),
    # −1/m = z − R(−m), R(g) = 1/(1 − g/2) + 1/(1 − g/5); u = m = −G.
    "MP(1/2) + MP(1/5)": (lambda u, z: -1 / (z - 2 / (2 + u) - 5 / (5 + u)), lambda u, _: -u),
    "MP(1/10) * discrete([1, 10])": poisson_times(discrete({1: 1, 10: 1}), 10),
    "MP(1/2) * (semicircle(1) + 3)": poisson_times(semicircle_at_three, 2),
    "discrete([-1, 0, 2]) + discrete([0, 1, 3])": sum_of(TERNARY, discrete({0: 1, 1: 1, 3: 1})),
}
ATOMS = {"bernoulli(3/5) + bernoulli(7/10)": 0.4}  # masses 0.4 + 0.7 − 1 at 1 and 0.6 + 0.7 − 1 at 2


# The same in rmtool's words.
POLYNOMIALS: dict[str, Callable[[Any], Any]] = {
    "semicircle(1) + bernoulli(1/2)": lambda rm: rm.AplusB(rm.wignerpol(), rm.atomLmz([0, 1], [HALF, HALF])),
    "bernoulli(3/5) + bernoulli(7/10)": lambda rm: rm.AplusB(
        *(rm.atomLmz([0, 1], [1 - p, p]) for p in (Fraction(3, 5), Fraction(7, 10)))
    ),
    # `scaleA` would replace the square root of 1/10 by a fraction near it.
    "semicircle(1/10) + discrete([-1, 0, 2])": lambda rm: rm.AplusB(
        rm.m**2 / 10 + rm.m * rm.z + 1, rm.atomLmz([-1, 0, 2], THIRDS)
    ),
    "MP(1/2) + MP(1/5)": lambda rm: rm.AplusB(*map(rm.wishartpol, PAIR)),
    "MP(1/10) * discrete([1, 10])": lambda rm: rm.AtimesWish(rm.atomLmz([1, 10], [HALF, HALF]), Fraction(1, 10)),
    "MP(1/2) * (semicircle(1) + 3)": lambda rm: rm.AtimesWish(rm.shiftA(rm.wignerpol(), 3), HALF),
    "discrete([-1, 0, 2]) + discrete([0, 1, 3])": lambda rm: rm.AplusB(
        rm.atomLmz([-1, 0, 2], THIRDS), rm.atomLmz([0, 1, 3], THIRDS)
    ),
    "MP(1/2) * MP(1/5)": lambda rm: rm.AtimesB(*map(rm.wishartpol, PAIR)),
    # A Gaussian layer and half its units switched off are one factor of ratio 2.
    "ReLU Gaussian, L = 3": lambda rm: rm.AtimesWish(rm.AtimesWish(rm.wishartpol(2), 2), 2),
}
# In freealg's words, where it has any.
NAMED: dict[str, Callable[[Any], Any]] = {
    "semicircle(1) + bernoulli(1/2)": lambda fa: fa.DeformedWigner([0.0, 1.0], [0.5, 0.5], 1.0),
    "semicircle(1/10) + discrete([-1, 0, 2])": lambda fa: fa.DeformedWigner([-1, 0, 2], [1 / 3] * 3, math.sqrt(0.1)),
    "MP(1/2) + MP(1/5)": lambda fa: fa.CompoundFreePoisson([0.5, 0.2], [2 / 7, 5 / 7], 7.0),
    "MP(1/10) * discrete([1, 10])": lambda fa: fa.DeformedMarchenkoPastur([1.0, 10.0], [0.5, 0.5], 0.1),
}


def points(text: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Midpoints of equal cells of the bulks, as many in each (333 in each of three), and their widths."""
    bulks = parse_law(text).spectrum().bulks
    cells = [np.linspace(*ends, count // len(bulks) + 1) for ends in bulks]
    return np.concatenate([0.5 * (c[1:] + c[:-1]) for c in cells]), np.concatenate([np.diff(c) for c in cells])


def routes(text: str, x: np.ndarray, peers: dict[str, Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Names, and what gives the density: (n,) or, where a choice is left to the user, (n, choices)."""
    yield OURS, lambda: parse_law(text).spectrum().pdf(x)
    if rm := peers.get("rmtool"):
        yield "rmtool", lambda: rm.Lmz2pdf(POLYNOMIALS[text](rm), x).best_density()
        yield "rmtool, oracle", lambda: np.imag(rm.Lmz2pdf(POLYNOMIALS[text](rm), x).rr) / math.pi
    if (freealg := peers.get("freealg")) and text in NAMED:
        yield "freealg", lambda: NAMED[text](freealg.distributions).density(x)
        yield "freealg, eta", lambda: NAMED[text](freealg.distributions).density(x, eta=1e-12)


def our_moments(name: str, order: int) -> Any:
    """Exact moments of the network, or of the law."""
    if name.startswith("ReLU"):
        return jacobian_moments(Network(depth=3, activation="relu", sigma_w="critical", sigma_b=0.0), order).values
    return parse_law(name).moment_list(rationals(), order)


def exact_moments(order: int, ratios: list[Fraction]) -> list[Fraction]:
    """Of λ w = (1 + w) Π (1 + r w), by Lagrange: m_k = [w^{k−1}] (1 + w)^k Π (1 + r w)^k / k."""
    found, power = [], [Fraction(1)] + [Fraction(0)] * (order - 1)
    for k in range(1, order + 1):
        for r in (Fraction(1), *ratios):
            power = [a + r * b for a, b in zip(power, [Fraction(0), *power], strict=False)]
        found.append(power[k - 1] / k)
    return found


# -- measurement ------------------------------------------------------------------------------------------------------


def expire(*_: object) -> None:
    """What the alarm does."""
    raise TimeoutError


def empty_caches() -> None:
    """Forget what this package remembers from law to law, quadrature nodes included."""
    for name, module in list(sys.modules.items()):
        for value in list(vars(module).values()) if name.split(".")[0] == "spectra" else ():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


def of_density(found: Any, exact: np.ndarray) -> dict[str, float]:
    """Largest and median relative error; of several candidates the nearest; a point without a value counts as 1."""
    values = np.asarray(found, float)
    choices = np.where(np.isnan(values), 0.0, values).reshape(exact.size, -1)
    error = np.min(np.abs(choices / exact[:, None] - 1.0), axis=1)
    return {"error": float(np.max(error)), "median": float(np.median(error)), "off": float(np.mean(error > OFF))}


def of_moments(found: Any, exact: list[Fraction]) -> dict[str, float]:
    """The same of whole sequences m_1 … m_n, compared as fractions: 0 is exact."""
    error = [abs(float(Fraction(str(a)) / b - 1)) for a, b in zip(found, exact, strict=True)]
    return {"error": max(error), "median": float(np.median(error)), "off": float(np.mean(np.array(error) > OFF))}


def measured(action: Callable[[], Any], judge: Callable[[Any], dict[str, float]], limit: float) -> dict[str, Any]:
    """Median seconds of up to seven calls after a first one (that one where time allows no more), and the error."""
    seconds, found = [], None
    signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            while len(seconds) < 8 and sum(seconds) < 0.5 * limit:
                empty_caches()
                start = time.perf_counter()
                found = action()
                seconds.append(time.perf_counter() - start)
    except TimeoutError:
        if not seconds:
            return {"failed": f"more than {limit:g} s"}
    except Exception as problem:  # whatever a peer raises is its result
        return {"failed": f"{type(problem).__name__}: {problem}"[:80]}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    return {"seconds": float(np.median(seconds[1:] or seconds)), "first_call": seconds[0]} | judge(found)


def show(case: str, routes: dict[str, dict[str, Any]]) -> None:
    """Lines of one case; ratio: seconds over ours."""
    base = routes[OURS].get("seconds", math.inf)
    for name, row in routes.items():
        if "failed" in row:
            print(f"{case:<44}{name:<16}{row['failed']}", flush=True)
            continue
        size = f"{1e3 * row['seconds']:>10.2f}{row['error']:>10.1e}{row['median']:>10.1e}{row['off']:>7.1%}"
        mark = "" if row["error"] < CORRECT else "  wrong"
        print(f"{case:<44}{name:<16}{size}{row['seconds'] / base:>9.2f}×{mark}", flush=True)


def densities(text: str, count: int, peers: dict[str, Any], limit: float) -> dict[str, dict[str, Any]]:
    """What every route gives for one law."""
    x, widths = points(text, count)
    exact = truth(EQUATIONS[text], x)
    # Nothing else would tell of a lost bulk; the midpoint rule misses a little at square-root ends.
    assert abs(float(exact @ widths) + ATOMS.get(text, 0.0) - 1.0) < 1.0 / count, f"{text}: mass is missing"
    return {way: measured(action, partial(of_density, exact=exact), limit) for way, action in routes(text, x, peers)}


def main() -> int:
    """Measure every case and print one table."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one law, 50 points, moments to order 10, no peers")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds allowed for one way in one case")
    parser.add_argument("--json", metavar="PATH", help="write the numbers here, too")
    options = parser.parse_args()
    peers: dict[str, Any] = {}
    for name in () if options.quick else ("rmtool", "freealg"):
        try:
            peers[name] = importlib.import_module(name)
        except ImportError:
            print(f"{name} is not installed: left out")
    count = 50 if options.quick else 1000
    threads = ", ".join(f"{x['internal_api']} {x['num_threads']}" for x in threadpool_info())
    print(f"Python {platform.python_version()}, numpy {np.__version__}; threads: {threads}")
    print(f"{count} points; law built anew and its density; relative errors; off: share above {OFF:g}\n")
    print(f"{'case':<44}{'route':<16}{'ms':>10}{'largest':>10}{'median':>10}{'off':>7}{'ratio':>10}")
    results = []
    for text in list(EQUATIONS)[: 1 if options.quick else None]:
        results.append({"case": text, "routes": densities(text, count, peers, options.limit)})
        show(**results[-1])
    for name, ratios in (("ReLU Gaussian, L = 3", [Fraction(2)] * 3), ("MP(1/2) * MP(1/5)", PAIR)):
        for order in (10,) if options.quick else (10, 20):
            ways: dict[str, Callable[[], Any]] = {OURS: lambda n=order, text=name: our_moments(text, n)}
            if rm := peers.get("rmtool"):
                ways["rmtool"] = lambda n=order, text=name, rm=rm: rm.Lmz2MomS(POLYNOMIALS[text](rm), n)[1:]  # less m_0
            judge = partial(of_moments, exact=exact_moments(order, ratios))
            found = {way: measured(action, judge, options.limit) for way, action in ways.items()}
            results.append({"case": f"{name}: m_1 … m_{order}", "routes": found})
            show(**results[-1])
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
