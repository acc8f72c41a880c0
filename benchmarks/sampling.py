"""What a sampled Jacobian costs beside the products and factorisations alone, and what a plain product loses.

Run `python benchmarks/sampling.py`. Times are CPU seconds of one thread, the best of a few, everything in one process.
The floor is measured with bare BLAS and LAPACK calls on matrices of the same size, as many as were made:

- plain: a product a layer, a QR with its Q for every Haar matrix, and singular values: what a product that loses its
  tail takes;
- graded: the products, factorisations and triangular products that our route makes; "to new": each of another matrix,
  more of them than the cache holds, as in a network, where "ratio" has the same few again and again.

Drawing the weights is in neither; it is timed by itself, from one stream that goes on, as in a network: the same
numbers again and again take a fifth less, for the processor learns its way through them. Torch, where installed: the
Jacobian of the same network by `torch.func.jacrev` and its `svdvals`, all weights held at once.

The tail: singular values of W_L ⋯ W_1 (tanh slopes between) against the product in ball arithmetic (python-flint).
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from spectra import Network
from spectra.network.meanfield import mean_field
from spectra.sampling.arrays import HostArrays
from spectra.sampling.forward import forward_pass
from spectra.sampling.graded import GradedProduct
from spectra.sampling.weights import draw_weights, random_weights

CASES = [
    (250, 4),
    (250, 32),
    (250, 256),
    (500, 4),
    (500, 32),
    (500, 256),
    (1000, 4),
    (1000, 32),
    (2000, 4),
]
_CACHE = 6e7  # bytes, more than the second level of cache holds
DIGITS_PER_NAT = 0.4343


def network(depth: int, weights: str) -> Network:
    """A critical tanh network."""
    return Network(depth=depth, activation="tanh", weights=weights, sigma_w="critical", q_star=0.5)


def best(task: Callable[[], Any], repeats: int) -> float:
    """CPU seconds of the fastest run."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        task()
        found.append(time.process_time() - start)
    return min(found)


def bare(n: int, dtype: type, bytes_: float = 0.0) -> dict[str, Callable[[], Any]]:
    """The single calls at this size, on as many matrices in turn as fill so many bytes, at least one."""
    rng, many = np.random.default_rng(0), max(1, int(bytes_ / (np.dtype(dtype).itemsize * n * n)))
    rows = [rng.standard_normal((n, n)).astype(dtype) for _ in range(many)]
    columns = [np.asfortranarray(a) for a in rows]
    letter = "d" if dtype is np.float64 else "s"
    call = {name: getattr(lapack, letter + name) for name in ("geqrf", "orgqr", "ormqr")}
    packed = [call["geqrf"](f, lwork=64 * n)[:2] for f in columns]

    def of(matrices: list[Any]) -> Callable[[], Any]:
        return cycle(matrices).__next__

    a, b, f, q = of(rows), of(rows[::-1]), of(columns), of(packed)

    def triangular() -> None:
        left, right = a(), b()
        for start in range(0, n, 128):
            left[start : start + 128, start:] @ right[start:]

    return {
        "product": lambda: a() @ b(),
        "qr": lambda: call["geqrf"](f(), lwork=64 * n),
        "form q": lambda: call["orgqr"](*q(), lwork=64 * n),
        "apply q": lambda: call["ormqr"]("R", "N", *q(), f(), 64 * n),
        "triangular": triangular,
        "svd": lambda: np.linalg.svd(a(), compute_uv=False),
    }


def in_turn(tasks: list[tuple[Callable[[], Any], int]]) -> None:
    """Do every task so many times."""
    for task, count in tasks:
        for _ in range(count):
            task()


class Counting(HostArrays):
    """Host arrays that count what is done with them."""

    def __init__(self, dtype: type) -> None:
        super().__init__(dtype)
        self.counts = dict.fromkeys(("product", "qr", "form q", "apply q", "triangular"), 0)
        self.last: Counter[tuple[str, tuple[int, ...], str]] = Counter()  # of the last step: name, shape, precision

    def drawn(self, kind: str, n_out: int, n_in: int, sigma_w: float, rng: np.random.Generator) -> Any:
        """Count the factorisation of a Haar matrix."""
        self.counts["qr"] += kind == "orthogonal"
        return super().drawn(kind, n_out, n_in, sigma_w, rng)

    def product(self, weights: Any, rows: Any, columns: Any, left: Any) -> Any:
        """Count it by its kind."""
        haar, factored = not isinstance(weights, np.ndarray), left is not None and not isinstance(left, np.ndarray)
        if haar:
            self.counts["form q"] += (left is None) + factored
            self.counts["apply q"] += left is not None
        elif left is not None:
            self.counts["apply q" if factored else "product"] += 1
        return super().product(weights, rows, columns, left)

    def factor(self, matrix: Any, rows: Any, columns: Any) -> Any:
        """Count it, with the product by U that follows."""
        self.counts["qr"] += 1
        self.counts["triangular"] += 1
        return super().factor(matrix, rows, columns)

    def triangle(self, matrix: Any) -> Any:
        """Note it."""
        self.last["qr", matrix.shape, matrix.dtype.name] += 1
        return super().triangle(matrix)

    def singular_values(self, matrix: Any) -> np.ndarray:
        """Note it."""
        self.last["svd", matrix.shape, matrix.dtype.name] += 1
        return super().singular_values(matrix)

    def doubles(self, matrix: Any) -> Any:
        """Doubles that note it here."""
        arrays = Counting(np.float64)
        arrays.last = self.last
        return arrays, self.host(matrix)


def jacobian(net: Network, n: int, arrays: HostArrays, method: str) -> np.ndarray:
    """Logarithms of the singular values of one network."""
    state = mean_field(net)
    specs = [run.spec for run in state.runs for _ in range(run.repeat)]
    product, rng = GradedProduct(n, method=method, arrays=arrays), np.random.default_rng(1)
    for weights, slopes, *_ in forward_pass(specs, (n,) * (len(specs) + 1), state.input_variance, rng, arrays):
        product.multiply(weights, slopes, orthogonal=specs[0].weights == "orthogonal")
    return product.log_singular_values()


def last_step(name: str, shape: tuple[int, ...], kind: str) -> Callable[[], Any]:
    """A QR or an SVD of a random matrix of this shape, as bare as LAPACK has it."""
    matrix = np.asfortranarray(np.random.default_rng(0).standard_normal(shape).astype(kind))
    if name == "svd":
        return lambda: np.linalg.svd(matrix, compute_uv=False)
    geqrf = getattr(lapack, ("d" if kind == "float64" else "s") + "geqrf")
    return lambda: geqrf(matrix, lwork=64 * shape[1])


def cost(n: int, depth: int, weights: str, dtype: type, repeats: int) -> dict[str, Any]:
    """Times of one network, and of its floor."""
    net, calls, haar = network(depth, weights), bare(n, dtype), weights == "orthogonal"
    counting = Counting(dtype)
    jacobian(net, n, counting, "auto")
    graded_floor = [(calls[name], count) for name, count in counting.counts.items()]
    last = [(last_step(*task), count) for task, count in counting.last.items()]
    new = bare(n, dtype, _CACHE)
    new_floor = [(new[name], count) for name, count in counting.counts.items()] + last
    graded_floor += last
    drawn = depth * haar
    plain_floor = [
        (calls[name], k) for name, k in (("product", depth - 1), ("qr", drawn), ("form q", drawn), ("svd", 1))
    ]
    stream = np.random.default_rng(0)
    # In turn, so that what else the machine does falls on all alike.
    tasks = {
        "ours": lambda: jacobian(net, n, HostArrays(dtype), "auto"),
        "floor": lambda: in_turn(graded_floor),
        "new floor": lambda: in_turn(new_floor),
        "plain": lambda: jacobian(net, n, HostArrays(dtype), "plain"),
        "plain floor": lambda: in_turn(plain_floor),
        "drawing": lambda: in_turn([(lambda: draw_weights("gaussian", n, n, 1.0, stream, dtype), depth)]),
    }
    found = {name: float("inf") for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            found[name] = min(found[name], best(task, 1))
    ours, floor, new_seconds, plain, bottom, drawing = found.values()
    return {
        "width": n,
        "depth": depth,
        "weights": weights,
        "dtype": np.dtype(dtype).name,
        "seconds": ours,
        "floor": floor,
        "drawing": drawing,
        "ratio": (ours - drawing) / floor,
        "new floor": new_seconds,
        "new ratio": (ours - drawing) / new_seconds,
        "plain seconds": plain,
        "plain floor": bottom,
        "plain ratio": (plain - drawing) / bottom,
        "torch seconds": torch_seconds(n, depth, weights, repeats),
    }


def torch_seconds(n: int, depth: int, weights: str, repeats: int) -> float | None:
    """Of jacrev and svdvals of a network of the same shape, weights drawn before; None without torch or memory."""
    try:
        import torch
    except ImportError:
        return None
    if 8 * n * n * depth > 2e9:
        return None
    rng = np.random.default_rng(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    layers = [torch.from_numpy(np.ascontiguousarray(random_weights(weights, n, n, 1.2, rng))) for _ in range(depth)]
    x_0 = torch.from_numpy(rng.standard_normal(n))

    def forward(x: Any) -> Any:
        for matrix in layers:
            x = torch.tanh(matrix @ x)
        return x

    torch.linalg.svdvals(torch.func.jacrev(torch.tanh)(x_0[:9]))  # loads what it needs
    seconds = best(lambda: torch.linalg.svdvals(torch.func.jacrev(forward)(x_0)), repeats)
    torch.set_num_threads(threads)
    return seconds


def tail(n: int, depth: int, kind: str, digits: int) -> dict[str, Any]:
    """Relative errors of every singular value, of three routes, against ball arithmetic."""
    rng = np.random.default_rng(5)
    factors = [
        (random_weights(kind, n, n, 1.0, rng), 1 / np.cosh(0.7 * rng.standard_normal(n)) ** 2) for _ in range(depth)
    ]
    exact = reference(factors, digits)
    found = {}
    for name, dtype, method in (
        ("plain", np.float64, "plain"),
        ("ours", np.float64, "auto"),
        ("ours, float32", np.float32, "auto"),
    ):
        product = GradedProduct(n, method=method, arrays=HostArrays(dtype))
        for weights, slopes in factors:
            product.multiply(weights.astype(dtype), slopes, orthogonal=kind == "orthogonal")
        with np.errstate(over="ignore"):
            errors = np.abs(np.expm1(product.log_singular_values() - exact))
        found[name] = {
            "median": float(np.median(errors)),
            "worst": float(errors.max()),
            "correct to 1e-6": float(np.mean(errors < 1e-6)),
        }
    return {"width": n, "depth": depth, "weights": kind, "decades": float(np.ptp(exact)) * DIGITS_PER_NAT} | found


def reference(factors: list[tuple[np.ndarray, np.ndarray]], digits: int) -> np.ndarray:
    """Logarithms of the singular values: the product in ball arithmetic, then mpmath's eigenvalues of P Pᵀ.

    The digits must be more than twice the decades that the singular values span.
    """
    import flint

    old, flint.ctx.dps = flint.ctx.dps, digits
    try:
        n = factors[0][0].shape[0]
        product = flint.arb_mat(n, n, [float(i == j) for i in range(n) for j in range(n)])
        for weights, slopes in factors:
            product = flint.arb_mat((slopes[:, None] * weights).tolist()) * product
        return _logs(product * product.transpose(), digits)
    finally:
        flint.ctx.dps = old


def _logs(gram: Any, digits: int) -> np.ndarray:
    """Half the logarithms of the eigenvalues of a Gram matrix, by mpmath's symmetric eigenvalues."""
    import mpmath

    n = gram.nrows()
    with mpmath.workdps(digits):
        matrix = mpmath.matrix(n, n)
        for i in range(n):
            for j in range(n):
                matrix[i, j] = mpmath.mpf(gram[i, j].mid().str(digits, radius=False))
        values = mpmath.eigsy(matrix, eigvals_only=True)
        return np.sort([float(mpmath.log(value) / 2) for value in values])[::-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    repeats = 1 if options.quick else 3
    rows = []
    with threadpool_limits(limits=1, user_api="blas"):
        cases = [(40, 4, np.float64)] if options.quick else [(*case, np.float64) for case in CASES]
        cases += [] if options.quick else [(250, 32, np.float32), (250, 256, np.float32), (1000, 32, np.float32)]
        print("ours: without drawing, over the floor. plain: a product without grading, over its floor. torch: jacrev.")
        print(
            "width depth weights    dtype    ours s  floor s  draw s  ratio  to new | plain s   ratio | torch s   /ours"
        )
        for n, depth, dtype in cases:
            for weights in ("gaussian", "orthogonal"):
                row = cost(n, depth, weights, dtype, (5 if n * depth < 10000 else 2) if repeats > 1 else 1)
                rows.append(row)
                torch = row["torch seconds"]
                print(
                    f"{n:5d} {depth:5d} {weights:10s} {row['dtype']} {row['seconds']:7.3f} {row['floor']:8.3f} "
                    f"{row['drawing']:7.3f} {row['ratio']:6.2f} {row['new ratio']:7.2f} | "
                    f"{row['plain seconds']:7.3f} {row['plain ratio']:7.2f} | "
                    + ("      -" if torch is None else f"{torch:7.2f} {torch / row['seconds']:9.1f}"),
                    flush=True,
                )
        tails = []
        print("\nwidth depth weights    decades | plain: median, worst, right to 1e-6 | ours | ours, float32")
        for n, depth in [(12, 8)] if options.quick else [(40, 32), (40, 200), (100, 32)]:
            for weights in ("gaussian", "orthogonal"):
                row = tail(n, depth, weights, 60 + 6 * depth)
                tails.append(row)
                parts = (
                    f"{row[name]['median']:.0e}, {row[name]['worst']:.0e}, {row[name]['correct to 1e-6']:.0%}"
                    for name in ("plain", "ours", "ours, float32")
                )
                print(f"{n:5d} {depth:5d} {weights:10s} {row['decades']:7.0f} | " + " | ".join(parts), flush=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as stream:
            json.dump({"cost": rows, "tail": tails}, stream, indent=1)


if __name__ == "__main__":
    main()
