"""Slow twins of the package in mpmath: definitions only, used as oracles by the tests.

Nothing here is imported from `spectra`. A law of D² = φ'(√q z)² is a list of (probability, value) nodes: exact where
the slope is constant, a tanh-sinh rule on each smooth branch elsewhere. A spectrum of JJᵀ is then a root of (★),

    log u = log(w_0/(1+w_0)) + Σ_l log C_l,    w_l = τ/N_l = ψ_{D_l²}(y_l),    u = 1/λ,
    C_l = y_l/(σ² w_{l-1}) (Gaussian),   C_l = (y_l/s²)(1+w_m)/w_m, m the wider side (orthogonal),

reached by continuation from small |u| at arg u = 0.9π, every logarithm principal, and polished in `mp`.

Source: theory of free multiplicative convolution: Pennington, Schoenholz, Ganguli, AISTATS 2018 (arXiv 1802.09979),
equations 13-16; rectangular layers: Chhaibi, Daouda, Kahn 2022, theorem 3.1, with the fan-in convention for σ².
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import flint
import mpmath
import numpy as np
from closed_forms import moments
from mpmath import mp

DPS = 50  # working digits of the nodes and of the polished roots
REACH = mp.mpf(15)  # |z| beyond which the Gaussian weight is below 1e-49
INF = mp.inf


# ---- Slopes φ'(x), written from the definition of φ: (right end of the branch, slope or constant) ----
def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def _tanh(x: Any) -> Any:
    return mp.sech(x) ** 2


def _erf(x: Any) -> Any:
    return 2 / mp.sqrt(mp.pi) * mp.exp(-x * x)


def _gelu(x: Any) -> Any:
    return mp.ncdf(x) + x * mp.npdf(x)


def _silu(x: Any) -> Any:
    return _sigmoid(x) * (1 + x * (1 - _sigmoid(x)))


def _softsign(x: Any) -> Any:
    return (1 + abs(x)) ** -2


def _mish(x: Any) -> Any:
    softplus = mp.log1p(mp.exp(x))
    return mp.tanh(softplus) + x * _sigmoid(x) * mp.sech(softplus) ** 2


def _logistic(x: Any) -> Any:
    return _sigmoid(x) * _sigmoid(-x)


with mp.workdps(2 * DPS):
    SELU_SCALE = mp.mpf("1.0507009873554804934193349852946")
    SELU_SLOPE = SELU_SCALE * mp.mpf("1.6732632423543772848170429916717")
    SILU_PEAK = mp.findroot(lambda x: x * mp.tanh(x / 2) - 2, 2.4)
    MISH_PEAK = mp.findroot(lambda x: mp.diff(_mish, x), 1.49)
    # Branches end at the kinks of φ' and at the maxima of |φ'|: there the poles of ψ pinch the real line.
    BRANCHES: dict[str, list[tuple[Any, Any]]] = {
        "identity": [(INF, 1)],
        "relu": [(0, 0), (INF, 1)],
        "leaky_relu(0.2)": [(0, mp.mpf(1) / 5), (INF, 1)],
        "hardtanh": [(-1, 0), (1, 1), (INF, 0)],
        "tanh": [(0, _tanh), (INF, _tanh)],
        "erf": [(0, _erf), (INF, _erf)],
        "gelu": [(-mp.sqrt(2), _gelu), (mp.sqrt(2), _gelu), (INF, _gelu)],
        "silu": [(-SILU_PEAK, _silu), (SILU_PEAK, _silu), (INF, _silu)],
        "mish": [(0, _mish), (MISH_PEAK, _mish), (INF, _mish)],
        "elu": [(0, mp.exp), (INF, 1)],
        "selu": [(0, lambda x: SELU_SLOPE * mp.exp(x)), (INF, SELU_SCALE)],
        "softplus": [(0, _sigmoid), (INF, _sigmoid)],
        "logsigmoid": [(0, lambda x: _sigmoid(-x)), (INF, lambda x: _sigmoid(-x))],
        "sigmoid": [(0, _logistic), (INF, _logistic)],
        "softsign": [(0, _softsign), (INF, _softsign)],
        "hardswish": [(-3, 0), (3, lambda x: (2 * x + 3) / 6), (INF, 1)],
        "sin": [*((k * mp.pi, mp.cos) for k in range(-12, 13)), (INF, mp.cos)],
    }
    SUPREMUM: dict[str, Any] = dict.fromkeys(BRANCHES, mp.one) | {  # of φ'²
        "erf": 4 / mp.pi, "gelu": _gelu(mp.sqrt(2)) ** 2, "silu": _silu(SILU_PEAK) ** 2, "mish": _mish(MISH_PEAK) ** 2,
        "selu": SELU_SLOPE**2, "sigmoid": mp.mpf(1) / 16, "hardswish": mp.mpf(9) / 4,
    }  # fmt: skip


def slope(name: str, x: Any) -> Any:
    """φ'(x) at real x, from the table; the left value at a kink."""
    piece = next(s for end, s in BRANCHES[name] if x <= end)
    return piece(x) if callable(piece) else mp.mpf(piece)


def expectation(f: Callable, q: Any, splits: Sequence = (), dps: int = 30) -> Any:
    """E f(√q z), z ~ N(0, 1), by `mp.quad` split where the caller says (points of x = √q z)."""
    with mp.workdps(dps + 10):
        root = mp.sqrt(mp.mpf(q))
        points = sorted({-REACH, REACH, mp.zero, *(s / root for s in map(mp.mpf, splits) if abs(s / root) < REACH)})
        value: Any = mp.quad(lambda z: f(root * z) * mp.npdf(z), points)
    return +value


def psi_quad(name: str, q: Any, y: Any, dps: int = 25) -> Any:
    """ψ_{D²}(y) = E yφ'²/(1 − yφ'²), by `mp.quad` split at the kinks and geometrically around the nearest poles."""
    with mp.workdps(dps + 10):
        y, root = mp.mpmathify(y), mp.sqrt(mp.mpf(q))
        splits = [end for end, _ in BRANCHES[name][:-1]]
        grid = [root * k / 50 for k in range(-500, 501)]
        away = [abs(1 - y * slope(name, x) ** 2) for x in grid]
        for left, here, right, x in zip(away, away[1:], away[2:], grid[1:], strict=False):
            if here <= min(left, right) and here < 0.5:
                splits += [x, *(x + sign * root / mp.mpf(4) ** k for sign in (-1, 1) for k in range(4))]
        return +expectation(lambda x: y * slope(name, x) ** 2 / (1 - y * slope(name, x) ** 2), q, splits, dps)


@dataclass(frozen=True)
class SquaredSlope:
    """The law of φ'(√q z)² as nodes; `level` k means a tanh-sinh step 2^{-k} on every smooth branch."""

    name: str
    q: Any
    _cache: dict = field(default_factory=dict, compare=False, repr=False)

    def nodes(self, level: int) -> list[tuple[Any, Any]]:
        """Pairs (probability, φ'²)."""
        if level not in self._cache:
            with mp.workdps(DPS):
                self._cache[level] = list(self._build(mp.mpf(2) ** -level))
        return self._cache[level]

    def _build(self, step: Any) -> Iterator[tuple[Any, Any]]:
        root, right = mp.sqrt(mp.mpf(self.q)), -INF
        piece: Any
        for end, piece in BRANCHES[self.name]:
            left, right = right, end / root
            lo, hi = max(left, -REACH), min(right, REACH)
            if not callable(piece):
                mass = mp.ncdf(right) - mp.ncdf(left) if left < 0 else mp.ncdf(-left) - mp.ncdf(-right)
                yield mass, mp.mpf(piece) ** 2
            elif lo < hi:
                for k in range(-int(5 / step), int(5 / step) + 1):
                    angle = mp.pi / 2 * mp.sinh(k * step)
                    z = (lo + hi) / 2 + (hi - lo) / 2 * mp.tanh(angle)
                    weight = step * (hi - lo) / 2 * mp.pi / 2 * mp.cosh(k * step) * mp.sech(angle) ** 2 * mp.npdf(z)
                    if weight > mp.mpf(10) ** -DPS:
                        value: Any = piece(root * z)
                        yield weight, value**2

    def mu(self, k: int, level: int = 7) -> Any:
        """μ_k = E φ'^{2k}."""
        if ("mu", k, level) not in self._cache:
            with mp.workdps(DPS):
                self._cache["mu", k, level] = mp.fsum(p * g**k for p, g in self.nodes(level))
        return self._cache["mu", k, level]

    def psi(self, y: Any, level: int) -> tuple[Any, Any]:
        """ψ(y) and y ψ'(y) at `mp` precision (sums in flint balls for speed), or in double if y is a Python complex."""
        if isinstance(y, complex):
            if ("double", level) not in self._cache:
                self._cache["double", level] = np.array(self.nodes(level), dtype=float).T
            p, g = self._cache["double", level]
            part = p * y * g / (1 - y * g)
            return complex(part.sum()), complex((part / (1 - y * g)).sum())
        flint.ctx.prec = mp.prec + 30
        if ("ball", level) not in self._cache:
            self._cache["ball", level] = [(flint.arb(p), flint.arb(g)) for p, g in self.nodes(level) if g]
        ball, total, slope_total = flint.acb(mp.mpc(y)), flint.acb(0), flint.acb(0)
        for p, g in self._cache["ball", level]:
            rest = 1 - ball * g
            part = p * ball * g / rest
            total, slope_total = total + part, slope_total + part / rest
        return mp.mpmathify(total), mp.mpmathify(slope_total)


@dataclass(frozen=True)
class Layer:
    """One layer x ↦ φ(Wx), `repeat` times (square if repeated); `variance` is σ_w² (fan-in), None for 1/μ_1."""

    law: SquaredSlope
    weights: str = "gaussian"
    repeat: int = 1
    variance: Any = None
    fan_in: int = 1
    fan_out: int = 1

    @property
    def wide(self) -> int:
        """The wider side."""
        return max(self.fan_in, self.fan_out)

    def log_variance(self) -> Any:
        """Log σ_w²."""
        with mp.workdps(DPS):
            return -mp.log(self.law.mu(1)) if self.variance is None else mp.log(mp.mpmathify(self.variance))


def network(name: str, q: Any, weights: str, depth: int, variance: Any = None) -> list[Layer]:
    """Homogeneous square net."""
    return [Layer(SquaredSlope(name, q), weights, depth, variance)]


# ---- The equation (★) ----
def log_u(layers: Sequence[Layer], a: Any, b: Sequence, ctx: Any = mp) -> Any:
    """Log u from (★), given a = log τ and b_l = log y_l, every logarithm principal."""
    tau, first = ctx.exp(a), layers[0].fan_in
    total = a - ctx.log(first) - ctx.log(1 + tau / first)
    for x, b_l in zip(layers, b, strict=True):
        # s² = σ² wide/fan_in whichever side is the wider, so both weights share this form.
        log_c = b_l - ctx.mpf(x.log_variance()) - a + ctx.log(x.fan_in)
        total += x.repeat * (log_c + (ctx.log(1 + tau / x.wide) if x.weights == "orthogonal" else 0))
    return total


def newton(layers: Sequence[Layer], target: Any, a: Any, b: Sequence, level: int, ctx: Any) -> tuple:
    """One Newton step of (★) for log u = target: new a, new b, largest residual, d log u/d log τ on the curve."""
    tau, error, worst = ctx.exp(a), log_u(layers, a, b, ctx) - target, 0
    rate, pull, inner = 1 / (1 + tau / layers[0].fan_in), 0, []
    for x, b_l in zip(layers, b, strict=True):
        psi, y_dpsi = x.law.psi(ctx.exp(b_l), level)
        miss, ratio = ctx.log(psi) - a + ctx.log(x.fan_out), psi / y_dpsi
        inner.append((miss, ratio))
        rate += x.repeat * (ratio - (1 / (1 + tau / x.wide) if x.weights == "orthogonal" else 1))
        pull, worst = pull + x.repeat * miss * ratio, max(worst, abs(miss))
    step = (pull - error) / rate if rate else 0  # zero exactly at an edge
    moved = [b_l + (step - miss) * ratio for b_l, (miss, ratio) in zip(b, inner, strict=True)]
    return a + step, moved, max(worst, abs(error)), rate


def relax(layers: Sequence[Layer], target: Any, a: Any, b: Sequence, level: int, ctx: Any, tolerance: Any) -> Any:
    """Newton until the residual is below `tolerance`: (a, b, residual), or None if it fails or leaves 0 < Im < π."""
    for _ in range(12):
        try:
            new_a, new_b, residual, _ = newton(layers, target, a, b, level, ctx)
        except (ZeroDivisionError, OverflowError, ValueError):
            return None
        a, b = new_a, new_b
        if not all(0 < x.imag < math.pi for x in (a, *b)):
            return None
        if residual < tolerance:
            return a, b, residual
    return None


def continuation(layers: Sequence[Layer], lam: float, level: int = 6) -> tuple[complex, list[complex]]:
    """Root (log τ, log y_l) at u = 1/λ in double: from small |u| at arg u = 0.9π in |u|, then arg u → 0."""
    log_mean = float(sum(x.repeat * (x.log_variance() + mp.log(x.law.mu(1))) for x in layers))
    spread = float(sum(x.repeat * (1 + x.law.mu(2) / x.law.mu(1) ** 2) for x in layers))
    target, tolerance = -math.log(lam), 1e-11 + 1e-14 * sum(x.repeat for x in layers)
    here = min(target, -log_mean - math.log(1e3 * (1 + spread))) + 0.9j * math.pi
    a = here + log_mean + math.log(layers[-1].fan_out)
    b = [a - math.log(x.fan_out) - float(mp.log(x.law.mu(1))) for x in layers]
    for end in (target + 0.9j * math.pi, complex(target)):
        origin, done, step = here, 0.0, 0.02
        while done < 1:
            here = origin + min(1.0, done + step) * (end - origin)
            found = relax(layers, here, a, b, level, mpmath.fp, tolerance)
            if found is None:
                step /= 2
                if step < 1e-9:
                    raise ArithmeticError(f"`continuation({lam})` is stuck at log u = {here}: outside the support?")
                continue
            (a, b, _), done, step = found, min(1.0, done + step), min(0.04, step * 1.5)
    return a, b


@dataclass(frozen=True)
class Point:
    """Density at λ with its certificate: residual of (★) with principal logarithms; agreement of two rules."""

    density: Any
    residual: Any
    agreement: Any
    w: Any
    y: tuple


def density(layers: Sequence[Layer], lam: Any, digits: int = 22) -> Point:
    """ρ(λ) = Im w_L/(πλ) of JJᵀ: continuation, Newton in `mp`, the quadrature refined until two levels agree."""
    a, b = continuation(layers, float(lam))
    with mp.workdps(DPS):
        a, b, last = mp.mpc(a), [mp.mpc(x) for x in b], None
        for level in range(6, 12):
            found = relax(layers, -mp.log(mp.mpf(lam)), a, b, level, mp, mp.mpf(10) ** -(digits + 8))
            if found is None:
                continue
            a, b, residual = found
            w = mp.exp(a) / layers[-1].fan_out
            value = w.imag / (mp.pi * mp.mpf(lam))
            if last is not None and abs(value - last) < mp.mpf(10) ** -digits * value:
                return Point(value, residual, abs(value / last - 1), w, tuple(map(mp.exp, b)))
            last = value
        raise ArithmeticError(f"`density({lam})`: no two rules agree to {digits} digits.")


def double_density(layers: Sequence[Layer], lam: float) -> float:
    """ρ(λ) in double precision, for integrals over the bulk."""
    return float(np.exp(continuation(layers, lam, 8)[0]).imag / (layers[-1].fan_out * math.pi * lam))


# ---- Edges and moments ----
def critical_u(curve: Callable, s: Any, growth: Any, limit: Any) -> tuple[Any, bool]:
    """Log u where the rate of `curve(s)` = (log u, rate) first vanishes; at `limit`, with False, if it does not."""
    last = s
    while curve(s)[1] > 0:
        last, s = s, s * growth
        if s > limit:
            return curve(mp.mpf(limit))[0], False
    root = mp.findroot(lambda t: curve(t)[1], (last, s), solver="illinois", tol=1e-30, maxsteps=200, verify=False)
    return curve(root)[0], True


def right_edge(layers: Sequence[Layer], level: int = 7) -> tuple[Any, bool]:
    """λ_max = 1/u at the first zero of d log u/d log τ over y_1 = (1 − e^{-s})/max φ'²; False if at the end s = 60."""

    def curve(s: Any) -> tuple[Any, Any]:
        first = layers[0]
        y = [-mp.expm1(-s) / SUPREMUM[first.law.name]]
        tau = first.fan_out * first.law.psi(y[0], level)[0].real
        y += [inverse_psi(x.law, tau / x.fan_out, level) for x in layers[1:]]
        a, b = mp.log(tau), [mp.log(v) for v in y]
        return log_u(layers, a, b), newton(layers, mp.zero, a, b, level, mp)[3].real

    with mp.workdps(DPS):
        value, soft = critical_u(curve, mp.mpf("0.001"), mp.mpf("1.2"), 60)
        return mp.exp(-value), soft


def left_edge(layer: Layer, level: int = 7) -> tuple[Any, bool]:
    """λ_min > 0 of orthogonal layers with φ'² ≥ m > 0: the same over y = e^s/m coming down from infinity, w < −1."""
    floor = min(g for _, g in layer.law.nodes(level))

    def curve(s: Any) -> tuple[Any, Any]:
        y = mp.exp(1 / s) / floor
        w, y_dpsi = (v.real for v in layer.law.psi(y, level))
        total = mp.log(w / (1 + w)) + layer.repeat * (mp.log((1 + w) / w) + mp.log(y) - layer.log_variance())
        return total, layer.repeat + (1 - layer.repeat) * y_dpsi / (w * (1 + w))  # d log u/d log y

    with mp.workdps(DPS):
        value, soft = critical_u(curve, mp.mpf("0.05"), mp.mpf("1.1"), 10**12)
        return mp.exp(-value), soft


def inverse_psi(law: SquaredSlope, w: Any, level: int) -> Any:
    """Inverse of ψ at w > 0, y = (1 − e^{-s})/max φ'²: bisection for log s in double, then the secant method."""
    top, lower, upper = SUPREMUM[law.name], -40.0, 3.4
    for _ in range(40):
        middle = (lower + upper) / 2
        below = law.psi(complex(-math.expm1(-math.exp(middle)) / float(top)), level)[0].real < w
        lower, upper = (middle, upper) if below else (lower, middle)

    def miss(s: Any) -> Any:
        return mp.log(law.psi(-mp.expm1(-mp.exp(s)) / top, level)[0].real / w)

    return -mp.expm1(-mp.exp(mp.findroot(miss, (lower, upper), tol=1e-60))) / top


def layer_moments(layers: Sequence[Layer], count: int) -> list:
    """`moments` of a list of `Layer`, in `mp`."""
    with mp.workdps(DPS):
        factors = []
        for x in layers:
            mu = [x.law.mu(k) for k in range(1, count + 1)]
            factors.append((mu, x.weights, mp.exp(x.log_variance()), x.repeat, x.fan_in, x.fan_out))
        return moments(factors, count, layers[0].fan_in, layers[-1].fan_out)
