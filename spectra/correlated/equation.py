"""The self-consistent equation of a chain of blocks, for many λ at once.

J = J_L ⋯ J_1, J_l = D_0 + Σ_k √s_k D_k W_k E_k, is linearised: a symmetric matrix Q with blocks r_0, c_0, r_1, c_1, …,
r_L, c_L, Q(r_l, c_l) = 1, Q(r_l, c_{l−1}) = −J_l, Q(r_0, r_0) = Q(c_L, c_L) = −ζ with ζ² = u = 1/λ, has
det Q ∝ det(1 − u JᵀJ), and ψ(u) = ζ tr Q^{−1}(r_0, r_0). For wide networks Q^{−1} is, neuron by neuron, the inverse G
of a tridiagonal matrix, −D_0 of each block between c_{l−1} and r_l, with diagonal −ζ at both ends and, for every block,
−Σ_k E_k² B_k at c_{l−1}, −Σ_k D_k² A_k at r_l,

    A_k = s_k a_k f_k,  a_k = E[E_k² G(c_{l−1}, c_{l−1})],   B_k = s_k b_k f_k′,  b_k = E[D_k² G(r_l, r_l)],

f = f′ = 1 for Gaussian W, f = 1/(1 + a B) and f′ = 1/(1 + b A) for orthogonal W (the R-transform of a Haar matrix). In
a branch of several weights in series, W_K H_{K−1} ⋯ H_1 W_1, what passes between W_k and W_{k+1} is one more pair of
blocks of Q, a two by two matrix for each neuron, with −A_k at its row and −H_k² B_{k+1} at its column: b_k and a_{k+1}
are B_{k+1} and A_k times E[H_k²/(1 − A_k B_{k+1} H_k²)]. For Gaussian W_1 and W_2 that is f = ψ(y)/y, ψ that of H_1²,
y = s a b. The
expectations are over the values of a neuron in all blocks; its continued fractions from the left and from the right
depend on each other through the cores between them alone, and are passed on as `Message`s. All A, B, G lie in the lower
half plane for Im u < 0, where the solution is unique: the map takes the half planes into themselves. Signs of D_0 do
not enter, but where they change the law of the other diagonals.

Source
------
Helton, Rashidi Far, Speicher, IMRN 2007, rnm086 (operator-valued semicircular elements); Voiculescu, Dykema, Nica, Free
Random Variables (1992), chapter 4, for the Haar unitary; the transfer of pivots is this project's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from .._types import Array
from ..chebyshev import nodes
from .arc import Arcs
from .blocks import Block
from .edge import edge_beside
from .fixed_point import solve
from .known import NO_MASS, Atom, scale_of
from .messages import Disc, Message
from .pivots import Local, arc_along, onward, passed, told_apart
from .solution import STOP, Solution

# Nodes of a message.
COUNT = 8
# Paths that are told apart exactly, where what passes beside the weights differs.
APART = 128
# So many values of a pivot are all kept.
EXACT = 16
# λ at once: of as many as this makes numbers of a joint law, more would leave the cache.
NUMBERS, FEWEST = 50_000, 16


class BlockEquation:
    """Equation of JJᵀ for these blocks, J_1 first.

    Parameters
    ----------
    blocks : J_1 … J_L, square.
    count : nodes of a message; the error falls geometrically with it.
    most : values of a pivot that are all kept, where there are no more.
    roughly : for a first look, from which another will go on: edges are found to 1e-5 alone.
    """

    def __init__(
        self, blocks: Sequence[Block], count: int = COUNT, most: int = EXACT, *, roughly: bool = False
    ) -> None:
        self.blocks, self.count, self._most, self._roughly = tuple(blocks), count, most, roughly
        self._sizes = [block.values.shape[0] for block in self.blocks]
        largest = max(self._sizes)
        pairs = max(count * count, math.prod(self._sizes) // largest) if self.is_exact else count * count
        self._together = max(FEWEST, NUMBERS // (pairs * largest))
        self._places = nodes(count)
        self.scale = scale_of(self.log_range)
        ends = np.cumsum([0, *(block.gains.size for block in blocks)])
        self._parts = [slice(int(a), int(b)) for a, b in pairwise(ends)]
        self._shares = _shares(self.blocks)
        self._means = [share @ block.values for share, block in zip(self._shares, blocks, strict=True)]

    def of(self, blocks: Sequence[Block], more: int = 0) -> BlockEquation:
        """The same of other blocks, with more nodes; where all values of a pivot are kept they are of those, too."""
        sizes = math.prod(block.values.shape[0] for block in blocks)
        most = max(self._most, sizes) if self.is_exact else self._most
        return BlockEquation(blocks, self.count + more, most, roughly=self._roughly)

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    @property
    def unknowns(self) -> int:
        """A and B of every weight matrix."""
        return 2 * self._parts[-1].stop

    @property
    def log_mean(self) -> float:
        """Log m_1, each block taking its mean part; where D_0 and the rest depend on each other, about that."""
        means = zip(self.blocks, self._means, strict=True)
        return sum(math.log(float(m[0]) + block.noise_mean(m)) for block, m in means)

    @property
    def zero(self) -> float:
        """Mass at λ = 0: that of units that nothing enters, or nothing leaves, in some block."""
        lost = 0.0
        for block, share in zip(self.blocks, self._shares, strict=True):
            past = block.through > 0.0
            for side in (block.inner, block.outer):
                lost = max(lost, float(share[~past & ~side.any(axis=1)].sum()))
            if not past.any():
                lost = max([lost, *(float(mass[squares == 0.0].sum()) for squares, mass in block.hidden)])
        return lost

    @property
    def atom(self) -> Atom | None:
        """At Π D_0², of vectors that no W reaches and no W sees: D E = 0 on them, and what W maps back vanishes.

        Of the neurons with E ≠ 0 anywhere in the chain each takes away one to begin with and one equation; those with
        D ≠ 0 alike.
        """
        if self.depth == 1 and self.blocks[0].hidden:
            return self._beside_branch()
        place, sides = 0.0, [np.ones((1, 1)) for _ in range(3)]
        for block in self.blocks:
            # Of branches of several weights it is known of one alone.
            if block.hidden or np.ptp(block.through) or not block.through.all():
                return None
            place -= math.log(float(block.through[0]))
            # Where W is seen through one of its diagonals alone, or else through E.
            behind = np.array([~side.all() for side in block.outer.T])
            inner, outer = block.inner[:, ~behind].any(axis=1), block.outer[:, behind].any(axis=1)
            for k, idle in enumerate((~(inner | outer), ~inner, ~outer)):
                sides[k] = sides[k] @ block.core[idle].sum(axis=0)
        idle, not_inner, not_outer = (float(side[0, 0]) for side in sides)
        mass = idle + not_inner + not_outer - 2.0
        if mass < -NO_MASS:
            return None
        return Atom(place, mass if mass > NO_MASS else 0.0)

    @property
    def skipped(self) -> float | None:
        """None: so near to it a start from afar seldom ends at a solution."""
        return None

    def _beside_branch(self) -> Atom | None:
        """Of one block with a branch of several weights: its rank is that of the narrowest of its diagonals."""
        (block,), (share,) = self.blocks, self._shares
        if np.ptp(block.through) or not block.through.all():
            return None
        ends = [share[side.any(axis=1)].sum() for side in (block.inner, block.outer)]
        rank = min(float(part) for part in [*ends, *(mass[squares > 0.0].sum() for squares, mass in block.hidden)])
        missed = 1.0 - 2.0 * rank
        # Of three weights and more a density that ends there does so by another power than −1/2.
        if missed < (-NO_MASS if len(block.hidden) == 1 else NO_MASS):
            return None
        return Atom(-math.log(float(block.through[0])), missed if missed > NO_MASS else 0.0)

    @property
    def is_exact(self) -> bool:
        """Whether every path of a neuron is kept, of so few blocks with so few values."""
        kept = all(block.through.all() for block in self.blocks)
        return kept and max(math.prod(self._sizes[1:]), math.prod(self._sizes[:-1])) <= self._most

    @property
    def log_range(self) -> tuple[float, float]:
        """U = −log λ between which all of the support lies; ∞ where it may reach λ = 0."""
        most = least = 0.0
        for block in self.blocks:
            largest = np.sqrt(block.values.max(axis=0))
            noise = block.noise_norm(largest[1:])
            most += 2.0 * math.log(float(largest[0]) + noise)
            below = math.sqrt(float(block.through.min())) - noise
            least += 2.0 * math.log(below) if below > 0.0 else -math.inf
        return -most, -least

    def solve(self, u: Array, start: Array | None = None, *, stop: float = STOP) -> Solution:
        """Solve at u (M,), Im u ≤ 0; `start`: A and B (M, 2L) nearby."""
        return solve(self, u, start, stop=stop)

    def edge_near(self, u: float, x: Array) -> float | None:
        """U at an edge near U = `u`, inside, where the unknowns are x (2L,); None where none is found."""
        return edge_beside(self, u, x, roughly=self._roughly)

    def step(self, zeta: Array, x: Array) -> tuple[Array, Array]:
        """What the right sides say of all A, then all B, `x` (M, n), and ψ (M,), at ζ (M,), Im ζ ≤ 0."""
        size = self._together
        if zeta.size <= size:
            return self._step(zeta, x)
        parts = [self._step(zeta[k : k + size], x[k : k + size]) for k in range(0, zeta.size, size)]
        new, psi = zip(*parts, strict=True)
        return np.concatenate(new), np.concatenate(psi)

    def _step(self, zeta: Array, x: Array) -> tuple[Array, Array]:
        a, b = np.split(x, 2, axis=1)
        locals_ = [self._local(k, a, b) for k in range(self.depth)]
        left_centre, right_centre = self._typical(zeta, locals_)
        right = self._from_right(zeta, locals_, right_centre, left_centre)
        new_a, new_b = np.empty_like(a), np.empty_like(b)
        psi = np.zeros_like(zeta)
        left, ends = _before(zeta)
        for k, (block, part) in enumerate(zip(self.blocks, self._parts, strict=True)):
            over = left.over(block.flat, locals_[k].square.size)
            means_a, means_b, plus = _averages(block, locals_[k], left, over, right[k])
            _add_hidden(block, a[:, part], b[:, part], means_a, means_b)
            if k == 0:
                # Im ψ keeps its digits where ψ → −1.
                psi = plus - 1.0
            factor_a = np.where(block.haar, 1.0 / (1.0 + means_a * b[:, part]), 1.0)
            factor_b = np.where(block.haar, 1.0 / (1.0 + means_b * a[:, part]), 1.0)
            new_a[:, part] = block.gains * means_a * factor_a
            new_b[:, part] = block.gains * means_b * factor_b
            if k + 1 < self.depth:
                disc = _disc(locals_[k + 1], left_centre[k + 1], right_centre[k + 1])
                left, ends = self._passed(locals_[k], left, over, ends, disc)
        return np.concatenate([new_a, new_b], axis=1), psi

    def _local(self, k: int, a: Array, b: Array) -> Local:
        block, part = self.blocks[k], self._parts[k]
        here_a, here_b = a[:, part], b[:, part]

        def at(values: Array) -> tuple[Array, Array, float]:
            return -here_b @ values[1::2], -here_a @ values[2::2], float(values[0])

        ends = at(block.values.min(axis=0)), at(block.values.max(axis=0))
        return Local(-here_b @ block.inner.T, -here_a @ block.outer.T, block.through, at(self._means[k]), ends)

    def _typical(self, zeta: Array, locals_: list[Local]) -> tuple[list[Array], list[Array]]:
        """1/pivot of r_{l−1} and of c_l, l = 1 … L, on the path with the mean values in every block."""
        left, right = [-1.0 / zeta], [-1.0 / zeta]
        for local in locals_[:-1]:
            left.append(passed(local.typical, left[-1]))
        for local in locals_[:0:-1]:
            right.append(passed(local.turned.typical, right[-1]))
        return left, right[::-1]

    def _from_right(self, zeta: Array, locals_: list[Local], centre: list[Array], other: list[Array]) -> list[Message]:
        """1/pivot of c_l for l = 1 … L."""
        message, ends = _before(zeta)
        found = [message]
        for k in range(self.depth - 1, 0, -1):
            here = locals_[k].turned
            over = message.over(self.blocks[k].flat_back, here.square.size)
            disc = _disc(locals_[k - 1].turned, centre[k - 1], other[k - 1])
            message, ends = self._passed(here, message, over, ends, disc)
            found.append(message)
        return found[::-1]

    def _passed(self, local: Local, message: Message, over: Array, ends: Array, disc: Disc) -> tuple[Message, Array]:
        """The message beyond a block, and what becomes of `ends`: pivots on paths of smallest and of largest values.

        The nodes lie between these two; `over`: the weights for every value of the block.
        """
        ends = np.stack([onward(end, ends[:, i]) for i, end in enumerate(local.extremes)], axis=1)
        values = local.square.size
        if values == 1 and message.nodes.shape[1] == 1:
            return Message(1.0 / ends[:, :1], over[:, :, 0]), ends
        if not local.square.any():
            # Without a skip what was before is forgotten: the pivots are those of the values here.
            if np.ptp(local.outer, axis=1).any():
                return told_apart(local, message, over, np.ones(values, bool)), ends
            return Message(1.0 / local.outer[:, :1], over.sum(axis=(1, 2))[:, None]), ends
        if np.ptp(local.square):
            restarts = local.square == 0.0
            ended = int(restarts.sum())
            if (values - ended) * message.nodes.shape[1] + ended <= max(APART, self._most):
                return told_apart(local, message, over, restarts), ends
        # (M, K, J), and the new basis at each: (M, K, J, K′).
        x = message.nodes[:, :, None]
        points = x.shape[0]
        pivots = local.outer[:, None] - local.square / (local.inner[:, None] - x)
        if pivots.shape[1] * values <= self._most and local.square.all():
            return Message(1.0 / pivots.reshape(points, -1), over.reshape(points, -1, over.shape[3])), ends
        beyond = disc.of_pivot(pivots)
        first, last, middle = arc_along(disc.of_pivot(ends), beyond.reshape(points, -1))
        arcs = Arcs(first, last, middle, self._places)
        weights = arcs.lagrange(beyond.reshape(points, -1)) @ over.reshape(points, -1, over.shape[3])
        return Message(disc.at(arcs.nodes), weights), ends


def _before(zeta: Array) -> tuple[Message, Array]:
    """What comes before all blocks, or after them: one pivot, the same on every path; and its smallest and largest."""
    message = Message.certain(-1.0 / zeta)
    return message, np.repeat(1.0 / message.nodes, 2, axis=1)


def _disc(local: Local, centre: Array, other: Array) -> Disc:
    """The coordinate for pivots x before a block: its pole where c − x − D_0²/(r − x′) vanishes there, at its means."""
    inner, outer, square = local.typical
    return Disc(centre, inner - square / (outer - other))


def _averages(block: Block, local: Local, left: Message, over: Array, right: Message) -> tuple[Array, Array, Array]:
    """E[E_k² G(c_{l−1}, c_{l−1})], E[D_k² G(r_l, r_l)], (M, K), and of the first block 1 + ψ (M,)."""
    points, count, values, rank = over.shape
    # (M, K, J, K′).
    joint_weights = over.reshape(points, -1, rank) @ right.weights.transpose(0, 2, 1)
    joint_weights = joint_weights.reshape(points, count, values, right.nodes.shape[1])
    before = (local.inner[:, None, :] - left.nodes[:, :, None])[:, :, :, None]
    after = (local.outer[:, :, None] - right.nodes[:, None, :])[:, None]
    joint = joint_weights / (before * after - local.square[:, None])
    sums = (joint.sum(axis=1) * after[:, 0]).sum(axis=2), (joint.sum(axis=3) * before[..., 0]).sum(axis=1)
    # 1 + ψ = E 1/(1 − p/x), p = c − D_0²/(r − x′) the pivot at c_{l−1} without −x, where −1/x = ζ is all there is
    # before.
    plus = np.zeros(points, complex)
    if count == 1:
        pivot = local.inner[:, :, None] - local.square[:, None] / after[:, 0]
        plus = np.sum(joint_weights[:, 0] / (1.0 - pivot / left.nodes[:, :, None]), axis=(1, 2))
    return sums[0] @ block.inner, sums[1] @ block.outer, plus


def _add_hidden(block: Block, a: Array, b: Array, means_a: Array, means_b: Array) -> None:
    """Put the two entries of G between weights of a branch, from A_k before H_k and B_{k+1} after it, to the means."""
    for k, (squares, share) in enumerate(block.hidden):
        before, after = a[:, k, None], b[:, k + 1, None]
        passed = (squares / (1.0 - before * after * squares)) @ share
        means_a[:, k + 1] += before[:, 0] * passed
        means_b[:, k] += after[:, 0] * passed


def _shares(blocks: Sequence[Block]) -> list[Array]:
    """Masses of the values of each block by itself, (J,)."""
    sums = [block.core.sum(axis=0) for block in blocks]
    right = [np.ones((1, 1))]
    for matrix in sums[:0:-1]:
        right.append(matrix @ right[-1])
    left, found = np.ones((1, 1)), []
    for block, matrix, beyond in zip(blocks, sums, right[::-1], strict=True):
        found.append(np.einsum("ab,jbc,cd->j", left, block.core, beyond))
        left = left @ matrix
    return found
