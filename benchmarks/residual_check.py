"""Residual networks: moments of JJᵀ by freeness over diagonal matrices and by plain freeness, beside sampled networks.

Run `python benchmarks/residual_check.py`.  For ReLU and tanh, both orders, several depths and scales: log m_1 and
log m_k/m_1^k of sampled networks of widths W, W/2, W/4, …, extrapolated to infinite width as `spectra check` does it
(`spectra.extrapolation`), and z, in standard errors with what is not known of the bias, of either theory.  Eigenvalues
predicted above the law are taken out, and compared with their own prediction.  |z| beyond 3.5 is disagreement.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from threadpoolctl import threadpool_limits

from spectra import Network, sample
from spectra.agreement.moments import log_moments
from spectra.agreement.outliers import without
from spectra.agreement.verdict import inverse_widths
from spectra.correlated import BlockEquation, Layer, blocks_of
from spectra.correlated.fixed_point import solve
from spectra.correlated.moments import block_moments
from spectra.correlated.network import layers_of
from spectra.extrapolation import extrapolate
from spectra.network.meanfield import MeanField, mean_field
from spectra.outliers import Outlier, marked_passages, outliers
from spectra.series import along_inverse, multiply
from spectra.shape import amplification

CASES = ((4, "1/2"), (16, "1/2"), (16, "1/sqrt(depth)"), (64, "1/sqrt(depth)"), (64, "1/2"))
ORDER = 4
# Level of each of some twenty statements a case, as the verdict of `check` has it; its limit is 3.5 or so.
LEVEL, LIMIT = 0.01 / 20, 3.5


def network(activation: str, order: str, depth: int, alpha: str) -> Network:
    """σ_w = 1, no biases; α is ½ or 1/√L."""
    value = 0.5 if alpha == "1/2" else alpha
    keys: dict[str, Any] = {"activation": activation, "sigma_w": 1.0, "input_variance": 1.0, "kind": "residual"}
    return Network(**keys, order=order, depth=depth, alpha=value)


def edge_of(equation: BlockEquation, sampled: float) -> float:
    """A place above λ_+ and not far from it: the first of a ladder from what was sampled where the solution is real."""
    ladder = math.log(sampled) + np.array([0.02, 0.05, 0.1, 0.2, 0.4])
    found = solve(equation, np.exp(-ladder).astype(complex), stop=1e-6)
    real = np.flatnonzero(-found.psi.imag < 1e-3 * np.abs(found.psi))
    return math.exp(float(ladder[real[0]]))


def moments_of(equation: BlockEquation, largest: float) -> np.ndarray:
    """m_1 … by Cauchy's formula on half the radius of convergence, at so few points that 2^{-32} is left."""
    u = 0.5 / largest * np.exp(-1j * np.pi * (np.arange(16) + 0.5) / 16)
    found = solve(equation, u)
    assert found.solved.all()
    return np.real(np.mean(found.psi[:, None] * u[:, None] ** -np.arange(1, ORDER + 1), axis=0))


def theories(field: MeanField, sampled: float) -> tuple[np.ndarray, np.ndarray, tuple[Outlier, ...]]:
    """Moments by either theory, and the eigenvalues above the law, which ends near `sampled`."""
    layers = layers_of(field)
    equation = BlockEquation(blocks_of(layers), 10)
    edge, passages = edge_of(equation, sampled), marked_passages(field)
    found = outliers(passages, equation, edge, field.leaving.second) if passages is not None else ()
    return moments_of(equation, edge), free_moments(layers), found


def free_moments(layers: list[Layer]) -> np.ndarray:
    """Moments of the product of free blocks: the S-transforms multiply, each from the moments of its block alone."""
    together = np.eye(ORDER)[0]
    known: dict[tuple, np.ndarray] = {}
    for layer in layers:
        key = (layer.variance, layer.skip, layer.gain)
        if key not in known:
            (block,) = blocks_of([layer])
            # ‖W‖ = 2 and |φ'| ≤ 1 for what is tried here.
            top = (abs(layer.skip) + 2.0 * math.sqrt(layer.gain)) ** 2
            chi = inverse(block_moments(BlockEquation([block], 10), ORDER, top))
            known[key] = chi + np.append(0.0, chi[:-1])
        together = multiply(together, known[key])
    signs = (-1.0) ** np.arange(ORDER)
    return inverse(multiply(together, signs))


def inverse(series: np.ndarray) -> np.ndarray:
    """Coefficients, from x¹ on, of the series that undoes the one with these."""
    return along_inverse(np.eye(1, ORDER + 1)[0], np.append(series, 0.0))[1:]


def statistics(logs: np.ndarray) -> np.ndarray:
    """Log m_1, and log m_k/m_1^k: what all directions have in common scatters more than what tells them apart."""
    k = np.arange(2, ORDER + 1)
    return np.column_stack([logs[:, 0], logs[:, 1:] - k * logs[:, :1]])


def measured(
    activation: str, order: str, depth: int, alpha: str, widths: list[int], samples: int, seed: int
) -> dict[str, Any]:
    """A case, on one thread: what each worker is asked for."""
    with threadpool_limits(1):
        return against_samples(network(activation, order, depth, alpha), widths, samples, seed)


def against_samples(net: Network, widths: list[int], samples: int, seed: int) -> dict[str, Any]:
    """Both theories against samples of the network, `samples` at the largest width and more below."""
    start = time.perf_counter()
    field = mean_field(net)
    whole = [sample(net, n, round(samples * widths[0] / n), seed, n_jobs=1) for n in widths]
    # The second largest: the first may lie above the law.
    sampled = float(np.exp(2.0 * whole[0].log_singular_values[:, 1].max()))
    begin = time.perf_counter()
    exact, free, found = theories(field, sampled)
    theory = time.perf_counter() - begin
    ensembles = tuple(without(e, len(found)) for e in whole)
    h = inverse_widths(ensembles)
    kappa = amplification(ensembles[-1].q, float(h[-1]))
    bias = h * max(kappa, (exact[1] / exact[0] ** 2 - 1.0) / net.depth)
    values = [statistics(log_moments(e, ORDER)) for e in ensembles]
    predicted, freely = (statistics(np.log(m)[None, :])[0] for m in (exact, free))
    rows = []
    for k in range(1, ORDER + 1):
        y = [v[:, k - 1] - predicted[k - 1] for v in values]
        met = extrapolate(y, k * (k + 1) / 2 * bias, LEVEL, 1e-8 * k)
        off = float(freely[k - 1] - predicted[k - 1])
        rows.append({"k": k, "value": met.value, "error": met.standard_error, "z": met.z, "free": off})
        rows[-1]["z_free"] = (met.value - off) / met.standard_error
    tops = []
    for index, outlier in enumerate(found):
        y = [2.0 * e.log_singular_values[:, index] - math.log(outlier.location) for e in whole]
        met = extrapolate(y, bias, LEVEL, 2e-8)
        tops.append({"predicted": outlier.location, "value": met.value, "error": met.standard_error, "z": met.z})
    return {
        "moments": exact.tolist(),
        "free_moments": free.tolist(),
        "rows": rows,
        "outliers": tops,
        "seconds": {"theory": theory, "all": time.perf_counter() - start},
    }


def show(name: str, found: dict[str, Any]) -> None:
    """A line a case."""
    cells = [f"{r['z']:+5.1f} | {r['z_free']:+6.1f} ({math.expm1(r['free']):+.3%})" for r in found["rows"]]
    cells += [f"outlier {t['predicted']:.4g}: {t['z']:+.1f}" for t in found["outliers"]]
    theory, whole = found["seconds"].values()
    print(f"{name:32s} | {' | '.join(cells)} | {theory:.0f} s of {whole:.0f}", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--width", type=int, default=500)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--depths", default="4,16,64")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="cases at once")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    depths = [2] if options.quick else [int(depth) for depth in options.depths.split(",")]
    width, samples = (48, 24) if options.quick else (options.width, options.samples)
    cases = ((2, "1/2"),) if options.quick else CASES
    kinds = itertools.product(("relu", "tanh"), ("pre", "post"), [case for case in cases if case[0] in depths])
    # The longest first, so that no worker is left with one of them.
    chosen = sorted(((activation, order, *case) for activation, order, case in kinds), key=lambda case: -case[2])
    found: dict[str, Any] = {}
    print("z by diagonals | by plain freeness (off by), of log m_1, log m_2/m_1², log m_3/m_1³, log m_4/m_1⁴")
    parallel = joblib.Parallel(n_jobs=options.jobs, return_as="generator")
    tasks = (joblib.delayed(measured)(*case, [width, width // 2, width // 4], samples, options.seed) for case in chosen)
    for (activation, order, depth, alpha), case in zip(chosen, parallel(tasks), strict=True):
        name = f"{activation}, {order}, L = {depth}, α = {alpha}"
        found[name] = case
        show(name, case)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1))
    rows = [(name, row) for name, case in found.items() for row in [*case["rows"], *case["outliers"]]]
    beyond = [name for name, row in rows if abs(row["z"]) > LIMIT]
    free = {name for name, row in rows if abs(row.get("z_free", 0.0)) > LIMIT}
    print(f"beyond {LIMIT}: {len(beyond)} of {len(rows)} by diagonals {sorted(set(beyond))}")
    print(f"plain freeness fails in {len(free)} of {len(found)} cases: {sorted(free)}")


if __name__ == "__main__":
    main()
