"""What sampling costs on a GPU, through PyTorch and CuPy, beside the bare products and factorisations on the same card.

Run `python benchmarks/gpu.py` where PyTorch or CuPy finds a GPU; elsewhere it says so and ends. `--device cpu` takes
PyTorch on the processor. Wall-clock seconds of one critical tanh network, the device waited for at both ends:

- ours: `sample` of one network, weights drawn by numpy while the device works on the layer before; "8 at once": of
  eight by eight threads that share the card, divided by eight;
- floor: the products, QRs and SVDs that our route makes, of random matrices of the same shapes on the device;
- drawing: the weights by numpy and their way to the device, by themselves; neither in the floor nor added to it;
- plain: a product a layer, a QR for every Haar matrix, one SVD, of weights that lie on the device;
- jacrev: `torch.func.jacrev` and `svdvals`, of weights that lie on the device; loses the tail as "plain" does;
- cpu: `sample` of the same network by numpy on one thread, and of as many as there are cores, divided by their number.

"over": ours over the larger of floor and drawing, which go on side by side.

Agreement: largest and median |Δ log s| between the network on the device and the same on the processor in doubles.
"""

from __future__ import annotations

import argparse
import json
import operator
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from spectra import Network, sample
from spectra.sampling.forward import forward_pass, resolved_layers
from spectra.sampling.graded import GradedProduct
from spectra.sampling.standard import Normals, StandardArrays
from spectra.threads import cores

TYPES = {"float64": np.float64, "float32": np.float32}
CASES = "500x8,1000x8,2000x8,4000x8,500x32,1000x32,2000x32,4000x32"
TOGETHER = 8


def network(depth: int, weights: str) -> Network:
    """A critical tanh network."""
    return Network(depth=depth, activation="tanh", weights=weights, sigma_w="critical", q_star=0.5)


class Card:
    """One library on one device."""

    def __init__(self, name: str, device: str) -> None:
        import importlib

        self.name, self.module = name, importlib.import_module(name)
        self.device = None if name == "cupy" else device
        if name == "cupy":
            count = self.module.cuda.runtime.getDeviceCount()
            self.card = self.module.cuda.runtime.getDeviceProperties(0)["name"].decode() if count else None
        elif device == "cpu":
            self.module.set_num_threads(1)  # small matrices: threads would wait for each other
            self.card = "the processor, one thread"
        else:
            self.card = self.module.cuda.get_device_name() if self.module.cuda.is_available() else None

    @property
    def version(self) -> str:
        """Library and its version."""
        return f"{self.name} {self.module.__version__}"

    def wait(self) -> None:
        """Wait for all that was asked of the device."""
        if self.name == "cupy":
            self.module.cuda.Device().synchronize()
        elif self.device != "cpu":
            self.module.cuda.synchronize()

    def seconds(self, task: Callable[[], Any], repeats: int = 3) -> float:
        """Of the fastest of three runs, the first of which loads what it needs; of one where that is long."""
        found = float("inf")
        for _ in range(repeats):
            self.wait()
            start = time.perf_counter()
            task()
            self.wait()
            found = min(found, time.perf_counter() - start)
            if found > 1.0:
                break
        return found


def cards(libraries: list[str], device: str) -> list[Card]:
    """The libraries that find the device."""
    found = []
    for name in libraries if device != "cpu" else ["torch"]:
        try:
            card = Card(name, device)
        except Exception as error:  # not installed, no driver: each has errors of its own
            print(f"{name}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
            continue
        if card.card is not None:
            found.append(card)
    return found


class Recording(StandardArrays):
    """Arrays that note what is multiplied and factored, and of which shape."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.done: Counter[tuple[Any, ...]] = Counter()

    def weights(self, drawn: Any) -> Any:
        """Note the QR of a Haar matrix."""
        if isinstance(drawn, Normals):
            self.done["qr", drawn.normals.shape] += 1
        return super().weights(drawn)

    def product(self, weights: Any, rows: Any, columns: Any, left: Any) -> Any:
        """Note it."""
        found = super().product(weights, rows, columns, left)
        if left is not None:
            self.done["product", (found.shape[0], left.shape[0], left.shape[1])] += 1
        return found

    def factor(self, matrix: Any, rows: Any, columns: Any) -> Any:
        """Note it."""
        self.done["factor", tuple(matrix.shape)] += 1
        return super().factor(matrix, rows, columns)

    def triangular_product(self, blocks: list[Any], matrix: Any) -> Any:
        """Note its products."""
        for block in blocks:
            self.done["product", (*block.shape, matrix.shape[1])] += 1
        return super().triangular_product(blocks, matrix)

    def triangle(self, matrix: Any) -> Any:
        """Note it."""
        self.done["r", tuple(matrix.shape)] += 1
        return super().triangle(matrix)

    def singular_values(self, matrix: Any) -> np.ndarray:
        """Note it."""
        self.done["svd", tuple(matrix.shape)] += 1
        return super().singular_values(matrix)

    def doubles(self, matrix: Any) -> tuple[Any, Any]:
        """Doubles that note in the same list."""
        arrays, found = super().doubles(matrix)
        if arrays is self or not isinstance(arrays, StandardArrays):
            return arrays, found
        again = Recording(self.xp, self.device, np.float64)
        again.done = self.done
        return again, found


def traced(net: Network, n: int, arrays: StandardArrays) -> None:
    """One network, as `sample` makes it."""
    specs, variance = resolved_layers(net)
    product, rng = GradedProduct(n, arrays=arrays), np.random.default_rng(1)
    for weights, slopes, *_ in forward_pass(specs, (n,) * (len(specs) + 1), variance, rng, arrays):
        product.multiply(weights, slopes, orthogonal=specs[0].weights == "orthogonal")
    product.log_singular_values()


def replay(card: Card, done: Counter[tuple[Any, ...]], dtype: str) -> Callable[[], None]:
    """The same products and factorisations, bare, of random matrices of the same shapes; the last step in doubles."""
    arrays = {name: StandardArrays(card.name, card.device, kind) for name, kind in TYPES.items()}
    rng, kept = np.random.default_rng(0), {}

    def matrix(rows: int, columns: int, kind: str) -> Any:
        if (rows, columns, kind) not in kept:
            kept[rows, columns, kind] = arrays[kind].array(rng.standard_normal((rows, columns)))
        return kept[rows, columns, kind]

    graded = any(name == "factor" for name, _ in done)
    tasks: list[tuple[Callable[[], Any], int]] = []
    for (name, shape), count in done.items():
        kind = "float64" if graded and name in ("r", "svd") else dtype
        xp, first = arrays[kind].xp, matrix(*shape[:2], kind)
        if name == "product":
            task = partial(operator.matmul, first, matrix(*shape[1:], kind))
        elif name == "r":
            task = partial(arrays[kind].triangle, first)
        else:
            task = partial(xp.linalg.svdvals if name == "svd" else xp.linalg.qr, first)
        tasks.append((task, count))

    def run() -> None:
        for task, count in tasks:
            for _ in range(count):
                task()

    return run


def plain(card: Card, n: int, depth: int, weights: str, dtype: str) -> Callable[[], None]:
    """What a product that loses its tail takes."""
    done = Counter({("product", (n, n, n)): depth - 1, ("svd", (n, n)): 1})
    if weights == "orthogonal":
        done["qr", (n, n)] = depth
    return replay(card, done, dtype)


def jacrev(card: Card, n: int, depth: int, dtype: str) -> Callable[[], Any]:
    """Of torch; Gaussian weights, which lie on the device."""
    torch = card.module
    options = {"device": card.device, "dtype": getattr(torch, dtype)}
    layers = [torch.randn(n, n, **options) / n**0.5 for _ in range(depth)]
    x_0 = torch.randn(n, **options)

    def forward(x: Any) -> Any:
        for matrix in layers:
            x = torch.tanh(matrix @ x)
        return x

    return lambda: torch.linalg.svdvals(torch.func.jacrev(forward)(x_0))


class Processor:
    """The same networks by numpy, where that does not take too long."""

    def __init__(self, seconds: float, many: bool) -> None:
        self.left, self.many = seconds, many
        self.rate = 0.0  # seconds over L N³, of the slowest so far
        self.found: dict[Any, tuple[float, float | None, np.ndarray] | None] = {}

    def __call__(self, n: int, depth: int, weights: str, dtype: str) -> tuple[float, float | None, np.ndarray] | None:
        """Seconds on one thread, seconds a network with all cores, and log s; None where it was not run."""
        key, net = (n, depth, weights, dtype), network(depth, weights)
        if key not in self.found:
            if self.rate * depth * n**3 > self.left:
                return None
            began = start = time.perf_counter()
            logs = sample(net, n, 1, dtype=dtype).log_singular_values
            alone = time.perf_counter() - start
            self.rate = max(self.rate, alone / (depth * n**3)) if n >= 500 else self.rate
            together = None
            if self.many and cores() > 1 and alone < 2.0:
                start = time.perf_counter()
                sample(net, n, cores(), dtype=dtype)
                together = (time.perf_counter() - start) / cores()
            self.left -= time.perf_counter() - began
            self.found[key] = alone, together, logs
        return self.found[key]


def measured(card: Card, n: int, depth: int, weights: str, dtype: str, cpu: Processor, quick: bool) -> dict[str, Any]:
    """One row."""
    net = network(depth, weights)
    where = {"array_module": card.name, "device": card.device, "dtype": dtype}
    recording = Recording(card.name, card.device, TYPES[dtype])
    traced(net, n, recording)  # and what the first of a size loads is loaded
    logs: list[np.ndarray] = []
    ours = card.seconds(lambda: logs.append(sample(net, n, 1, **where).log_singular_values))
    many = None
    if ours * TOGETHER < 12 and not quick and dtype == "float64":
        many = card.seconds(lambda: sample(net, n, TOGETHER, n_jobs=TOGETHER, **where), 1) / TOGETHER
    arrays = StandardArrays(card.name, card.device, TYPES[dtype])
    rng = np.random.default_rng(0)
    drawing = depth * card.seconds(lambda: arrays.array(rng.standard_normal((n, n)) * 0.1))
    floor = card.seconds(replay(card, recording.done, dtype))
    bottom = card.seconds(plain(card, n, depth, weights, dtype))
    torch = None
    if card.name == "torch" and weights == "gaussian":
        jacrev(card, 8, 2, dtype)()  # loads what it needs
        torch = card.seconds(jacrev(card, n, depth, dtype))
    host, exact = cpu(n, depth, weights, dtype), cpu(n, depth, weights, "float64")
    differences = None if exact is None else np.abs(logs[0] - exact[2])
    return {
        "library": card.name,
        "width": n,
        "depth": depth,
        "weights": weights,
        "dtype": dtype,
        "ours": ours,
        "together": many,
        "floor": floor,
        "drawing": drawing,
        "ratio": ours / max(floor, drawing),
        "plain": bottom,
        "jacrev": torch,
        "cpu": None if host is None else host[0],
        "cpu together": None if host is None else host[1],
        "off": None if differences is None else [float(differences.max()), float(np.median(differences))],
        "done": [[*map(str, task), count] for task, count in recording.done.items()],
    }


def shown(value: float | None, digits: int = 3) -> str:
    """A number of the table."""
    return f"{'-' if value is None else f'{value:.{digits}f}':>8s}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the smallest size")
    parser.add_argument("--cases", default=CASES, help=f"widths and depths, in their order (default {CASES})")
    parser.add_argument("--libraries", default="torch,cupy")
    parser.add_argument("--device", default="cuda", help="of PyTorch: cuda (default), cuda:1, cpu")
    parser.add_argument("--seconds", type=float, default=210.0, help="cases that would end later are left out")
    parser.add_argument("--cpu-seconds", type=float, default=60.0, help="what numpy on the processor may take of it")
    parser.add_argument("--json")
    options = parser.parse_args()
    began, small = time.perf_counter(), options.quick or options.device == "cpu"
    found = cards(options.libraries.split(","), options.device)
    if not found:
        print("no GPU here: neither PyTorch nor CuPy finds one (--device cpu takes PyTorch on the processor)")
        return
    print(f"{', '.join(card.version for card in found)} on {found[0].card}; {cores()} cores beside it")
    print(
        "library width depth weights    dtype   |   ours s  8 at once  drawing    floor   over |    plain   jacrev | "
        "cpu alone  all cores | off by: most, median"
    )
    rows, left_out, cpu = [], [], Processor(options.cpu_seconds, many=not small)
    took: dict[Any, tuple[float, float]] = {}  # seconds of the last case of a kind, and its size
    for n, depth in (map(int, case.split("x")) for case in ("40x4" if small else options.cases).split(",")):
        for dtype in TYPES:
            for weights in ("gaussian", "orthogonal"):
                for card in found:
                    kind, size, start = (card.name, dtype, weights), n**2.5 * depth, time.perf_counter()
                    last, before = took.get(kind, (0.0, size))
                    if start - began + last * size / before > options.seconds:
                        left_out.append(f"{card.name} {n} {depth} {weights} {dtype}")
                        continue
                    row = measured(card, n, depth, weights, dtype, cpu, small)
                    rows.append(row)
                    took[kind] = time.perf_counter() - start, size
                    off = "-" if row["off"] is None else "{:.0e}, {:.0e}".format(*row["off"])
                    print(
                        f"{card.name:7s} {n:5d} {depth:5d} {weights:10s} {dtype} | {shown(row['ours'])}   "
                        f"{shown(row['together'])} {shown(row['drawing'])} {shown(row['floor'], 4)} "
                        f"{shown(row['ratio'], 2)} | {shown(row['plain'], 4)} {shown(row['jacrev'], 4)} | "
                        f" {shown(row['cpu'])}   {shown(row['cpu together'])} | {off}",
                        flush=True,
                    )
    if left_out:
        print(f"left out, for time: {', '.join(left_out)}")
    print(f"{time.perf_counter() - began:.0f} s in all")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as stream:
            json.dump({"card": found[0].card, "libraries": [c.version for c in found], "rows": rows}, stream, indent=1)


if __name__ == "__main__":
    main()
