"""Weight matrices that are not stored: every product draws them again, block by block, from streams of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.random import SeedSequence

from ...errors import ConfigError

BLOCK = 2**17  # entries drawn at once, 1 MiB: they stay in the cache until they are used
PANEL = 32  # reflectors applied at once: as many extra columns as their triangular factor costs


def child(stream: SeedSequence, *key: int) -> SeedSequence:
    """Return a stream below `stream`; unlike `spawn`, the same one whenever it is asked for."""
    return SeedSequence(stream.entropy, spawn_key=(*stream.spawn_key, *key))


class Weights(ABC):
    """W, (n_out, n_in), as a sequence of parts, each drawn from its own stream and forgotten, or kept.

    Parameters
    ----------
    n_out, n_in : the shape.
    sigma_w : standard deviation of an entry times √n_in.
    stream : what the parts' streams are children of.
    keep : whether parts are kept once drawn; products do not depend on it.
    """

    def __init__(self, n_out: int, n_in: int, sigma_w: float, stream: SeedSequence, *, keep: bool = False) -> None:
        self.n_out, self.n_in, self.scale = n_out, n_in, sigma_w / np.sqrt(n_in)
        self._stream = stream
        self._kept: dict[int, Any] | None = {} if keep else None

    @abstractmethod
    def times(self, x: np.ndarray) -> np.ndarray:
        """W x, (n_in, p) → (n_out, p)."""

    @abstractmethod
    def transposed_times(self, y: np.ndarray) -> np.ndarray:
        """Wᵀ y, (n_out, p) → (n_in, p)."""

    @staticmethod
    @abstractmethod
    def kept_doubles(n_out: int, n_in: int) -> int:
        """Doubles that are kept where parts are kept."""

    def _part(self, start: int, draw: Callable[[np.random.Generator], Any]) -> Any:
        """The part that begins at `start`."""
        if self._kept is not None and start in self._kept:
            return self._kept[start]
        part = draw(np.random.default_rng(child(self._stream, start)))
        if self._kept is not None:
            self._kept[start] = part
        return part


class Independent(Weights):
    """Independent entries, in blocks of rows. A product costs n_out n_in draws and 2 n_out n_in flops a column."""

    def __init__(self, kind: str, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._draw = _ENTRIES[kind]
        self._rows = max(1, BLOCK // self.n_in)

    def times(self, x: np.ndarray) -> np.ndarray:
        """W x."""
        return np.concatenate([self._block(start) @ x for start in range(0, self.n_out, self._rows)])

    def transposed_times(self, y: np.ndarray) -> np.ndarray:
        """Wᵀ y."""
        result = np.zeros((self.n_in, y.shape[1]))
        for start in range(0, self.n_out, self._rows):
            result += self._block(start).T @ y[start : start + self._rows]
        return result

    @staticmethod
    def kept_doubles(n_out: int, n_in: int) -> int:
        """All of W."""
        return n_out * n_in

    def _block(self, start: int) -> np.ndarray:
        shape = min(self._rows, self.n_out - start), self.n_in
        return self._part(start, lambda rng: self.scale * self._draw(rng, shape))


class Reflectors(Weights):
    """Haar or semi-orthogonal W, as a product of Householder reflections of Gaussian vectors that shrink by one.

    With m = max and r = min of the shape, a product costs m r − r²/2 draws (half of those of independent entries where
    square) and 4 m r − 2 r² flops a column, and once more what `PANEL`/2 columns cost.

    Source
    ------
    Stewart, SIAM J. Numer. Anal. 17 (1980), 403–409, section 3; signs as in Mezzadri, Notices AMS 54 (2007), section 5.
    Triangular factor of a panel: Joffrin, Low, Quintana-Ortí, van de Geijn, ACM TOMS 32 (2006), 169–179.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._long, self._short = max(self.n_out, self.n_in), min(self.n_out, self.n_in)
        self.scale *= np.sqrt(self._long)
        self._starts = range(0, self._short, PANEL)

    def times(self, x: np.ndarray) -> np.ndarray:
        """W x."""
        return self.scale * (self._tall(x) if self.n_out >= self.n_in else self._wide(x))

    def transposed_times(self, y: np.ndarray) -> np.ndarray:
        """Wᵀ y."""
        return self.scale * (self._wide(y) if self.n_out >= self.n_in else self._tall(y))

    @staticmethod
    def kept_doubles(n_out: int, n_in: int) -> int:
        """The reflectors' vectors, and a little."""
        long, short = max(n_out, n_in), min(n_out, n_in)
        return long * short - short * (short - 1) // 2 + PANEL * long

    def _tall(self, x: np.ndarray) -> np.ndarray:
        """Q x for the first columns Q, (long, short), of a Haar matrix."""
        y = np.zeros((self._long, x.shape[1]))
        y[: self._short] = x
        for start in reversed(self._starts):
            vectors, factor, signs = self._panel(start)
            y[start : start + signs.size] *= signs[:, None]
            y[start:] -= vectors @ (factor @ (vectors.T @ y[start:]))
        return y

    def _wide(self, x: np.ndarray) -> np.ndarray:
        """Qᵀ x."""
        y = x.copy()
        for start in self._starts:
            vectors, factor, signs = self._panel(start)
            y[start:] -= vectors @ (factor.T @ (vectors.T @ y[start:]))
            y[start : start + signs.size] *= signs[:, None]
        return y[: self._short]

    def _panel(self, start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """V, T and signs: H_1 ⋯ H_b = 1 − V T Vᵀ on the coordinates from `start` on, H_k e_k · sign_k ∝ x_k."""

        def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            count = min(PANEL, self._short - start)
            vectors = np.tril(rng.standard_normal((self._long - start, count)))
            diagonal = np.arange(count)
            first = vectors[diagonal, diagonal]
            signs = np.where(first < 0.0, 1.0, -1.0)
            vectors[diagonal, diagonal] = first - signs * np.linalg.norm(vectors, axis=0)
            gram = vectors.T @ vectors
            return vectors, np.linalg.inv(np.triu(gram, 1) + np.diag(np.diagonal(gram) / 2)), signs

        return self._part(start, draw)


class Chain:
    """W_n D_n ⋯ D_2 W_1, as one matrix is: weights with diagonals between them.

    Parameters
    ----------
    factors : W_1 … W_n.
    slopes : D_2 … D_n.
    """

    def __init__(self, factors: Sequence[Weights], slopes: Sequence[np.ndarray]) -> None:
        self.n_out, self.n_in = factors[-1].n_out, factors[0].n_in
        self._factors, self._slopes = tuple(factors), tuple(slopes)

    def times(self, x: np.ndarray) -> np.ndarray:
        """The product with (n_in, p)."""
        x = self._factors[0].times(x)
        for weights, slopes in zip(self._factors[1:], self._slopes, strict=True):
            x = weights.times(slopes[:, None] * x)
        return x

    def transposed_times(self, y: np.ndarray) -> np.ndarray:
        """The product of the transpose with (n_out, p)."""
        for weights, slopes in zip(self._factors[:0:-1], self._slopes[::-1], strict=True):
            y = slopes[:, None] * weights.transposed_times(y)
        return self._factors[0].transposed_times(y)


def redrawn_weights(
    kind: str, n_out: int, n_in: int, sigma_w: float, stream: SeedSequence, *, room: float = 0.0
) -> Weights:
    """W with the law of `spectra.sampling.weights.random_weights`; kept once drawn if `room` (bytes) is enough."""
    if kind == "orthogonal":
        keep = 8 * Reflectors.kept_doubles(n_out, n_in) <= room
        return Reflectors(n_out, n_in, sigma_w, stream, keep=keep)
    if kind in _ENTRIES:
        keep = 8 * Independent.kept_doubles(n_out, n_in) <= room
        return Independent(kind, n_out, n_in, sigma_w, stream, keep=keep)
    raise ConfigError(f"`weights={kind!r}`: allowed are 'gaussian', 'orthogonal', 'uniform', 'rademacher'.")


def random_signs(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """±1 with equal odds, a bit of the stream each."""
    count = shape[0] * shape[1]
    bits = np.unpackbits(np.frombuffer(rng.bytes(-(-count // 8)), np.uint8), count=count)
    return (2.0 * bits - 1.0).reshape(shape)


_ENTRIES: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "gaussian": lambda rng, shape: rng.standard_normal(shape),
    "uniform": lambda rng, shape: rng.uniform(-np.sqrt(3.0), np.sqrt(3.0), shape),
    "rademacher": random_signs,
}
