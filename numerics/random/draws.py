"""Draws of noise coordinates, as statements.

Row i of the buffer `E` holds a noise coordinate, column b belongs to path b of a block, and `S`
holds the generators. Normals come in pairs, so an odd number of them is drawn for two steps at a
time (`period` 2).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
import scipy

from .statements import For, Lanes, Statement
from .streams import Doubles

SCRATCH_ROWS = 2
"""Rows at the start of the buffer that any draw may use."""


STATE = "S[0, b], S[1, b], S[2, b], S[3, b]"


def _uniform_into(target: str) -> Statement:
    return Lanes(f"{target}, {STATE} = streams.uniform({STATE})")


def _normals_into(row: int, count: int, scale: str) -> Statement:
    lane = Lanes(
        f"one, other, {STATE} = streams.normal_pair({scale}, {STATE})",
        "E[row, b] = one",
        "E[row + 1, b] = other",
    )
    return For("row", f"{row}, {row + count}, 2", lane)


@dataclass(frozen=True)
class Draw(ABC):
    """Rows `row`, …, `row + width·period − 1` of the noise buffer, filled every `period` steps.

    Attributes
    ----------
    row, size, period : int
        First row, noise coordinates, and steps that are drawn at a time.
    copies : int
        Independent draws of the coordinates in one step, one below the other.
    """

    row: int
    size: int
    period: int = 1
    copies: int = field(default=1, kw_only=True)

    @property
    def width(self) -> int:
        """Rows of one step."""
        return self.size * self.copies

    @property
    def rows(self) -> str:
        """Range of the rows of one step, as text."""
        return f"{self.row}, {self.row + self.width}"

    @property
    def starts(self) -> str:
        """Range of the first rows of the copies that are drawn together, as text."""
        return f"{self.row}, {self.row + self.width * self.period}, {self.size}"

    @abstractmethod
    def table(self, sigma: float) -> Doubles:
        """Numbers that the draw needs at noise scale σ, a matrix."""

    @abstractmethod
    def code(self, table: str) -> list[Statement]:
        """Statements of the kernel that fill the rows of `E` from the generators in `S`.

        Parameters
        ----------
        table : str
            What the draw's table is called there.
        """


class Normal(Draw):
    """σ times independent standard normals."""

    def table(self, sigma: float) -> Doubles:
        """σ."""
        return np.array([[sigma]])

    def code(self, table: str) -> list[Statement]:
        """Normals in pairs."""
        return [_normals_into(self.row, self.width * self.period, f"{table}[0, 0]")]


@dataclass(frozen=True)
class Correlated(Draw):
    """Normals with covariance σ²C."""

    factor: tuple[tuple[float, ...], ...] = ()
    """Lower triangular F with F Fᵀ = C."""

    def table(self, sigma: float) -> Doubles:
        """σF."""
        return sigma * np.array(self.factor)

    def code(self, table: str) -> list[Statement]:
        """Normals, and then the mixing in place, from the last row upwards."""
        mix = For(
            "i",
            f"{self.size - 1}, -1, -1",
            Lanes(f"E[row + i, b] *= {table}[i, i]"),
            For("j", "i", Lanes(f"E[row + i, b] += {table}[i, j] * E[row + j, b]")),
        )
        normals = _normals_into(self.row, self.width * self.period, "1.0")
        return [normals, For("row", self.starts, mix)]


class OnSphere(Draw):
    """σ√d times normals over their length, for d coordinates."""

    def table(self, sigma: float) -> Doubles:
        """σ√d."""
        return np.array([[sigma * math.sqrt(self.size)]])

    def code(self, table: str) -> list[Statement]:
        """Normals, and then their length."""
        entry, each = "E[row + i, b]", f"{self.size}"
        scaled = For(
            "row",
            self.starts,
            Lanes("E[0, b] = 0.0"),
            For("i", each, Lanes(f"E[0, b] += {entry} * {entry}")),
            Lanes(f"E[0, b] = {table}[0, 0] / math.sqrt(E[0, b])"),
            For("i", each, Lanes(f"{entry} *= E[0, b]")),
        )
        return [_normals_into(self.row, self.width * self.period, "1.0"), scaled]


class Signs(Draw):
    """±σ with probability ½ each; one output of the generator serves 32 coordinates."""

    def table(self, sigma: float) -> Doubles:
        """σ."""
        return np.array([[sigma]])

    def code(self, table: str) -> list[Statement]:
        """Words into the first row of each 32, then their bits, the first row last."""
        found: list[Statement] = []
        for start in range(self.row, self.row + self.width, 32):
            stop = min(start + 32, self.row + self.width)
            sign = f"E[row, b] = streams.signed({table}[0, 0], E[{start}, b], row - {start})"
            found += [
                Lanes(f"E[{start}, b], {STATE} = streams.raw({STATE})"),
                For("row", f"{stop - 1}, {start - 1}, -1", Lanes(sign)),
            ]
        return found


class Flat(Draw):
    """Uniform on [−√3 σ, √3 σ)."""

    def table(self, sigma: float) -> Doubles:
        """√3 σ."""
        return np.array([[math.sqrt(3.0) * sigma]])

    def code(self, table: str) -> list[Statement]:
        """Scaled uniforms."""
        scaled = f"E[row, b] = {table}[0, 0] * (2.0 * E[row, b] - 1.0)"
        return [For("row", self.rows, _uniform_into("E[row, b]"), Lanes(scaled))]


class Dropout(Draw):
    """−1 with probability p = σ²/(1 + σ²), else p/(1 − p) = σ²."""

    def table(self, sigma: float) -> Doubles:
        """Probability of −1, and the other value."""
        return np.array([[sigma**2 / (1.0 + sigma**2), sigma**2]])

    def code(self, table: str) -> list[Statement]:
        """Uniforms compared with p."""
        chosen = f"E[row, b] = -1.0 if E[row, b] < {table}[0, 0] else {table}[0, 1]"
        return [For("row", self.rows, _uniform_into("E[row, b]"), Lanes(chosen))]


@dataclass(frozen=True)
class TwoValues(Draw):
    """σa with probability 1/(1 + a²), else −σ/a."""

    positive: float = 1.0
    """a."""

    def table(self, sigma: float) -> Doubles:
        """Probability of the positive value, both values."""
        a = self.positive
        return np.array([[1.0 / (1.0 + a**2), sigma * a, -sigma / a]])

    def code(self, table: str) -> list[Statement]:
        """Uniforms compared with the probability."""
        chosen = f"E[row, b] = {table}[0, 1] if E[row, b] < {table}[0, 0] else {table}[0, 2]"
        return [For("row", self.rows, _uniform_into("E[row, b]"), Lanes(chosen))]


@dataclass(frozen=True)
class Chosen(Draw):
    """One of finitely many values, the same σ or not."""

    values: tuple[tuple[float, ...], ...] = ()
    probabilities: tuple[float, ...] = ()

    def table(self, sigma: float) -> Doubles:
        """For each value: the probability of those before it, and its entries."""
        before = np.concatenate([[0.0], np.cumsum(self.probabilities)[:-1]])
        return np.column_stack([before, np.array(self.values)])

    def code(self, table: str) -> list[Statement]:
        """The last value whose predecessors are less likely than a uniform."""
        entry = "E[row + i, b]"
        later = f"{entry} = {table}[m, 1 + i] if E[0, b] >= {table}[m, 0] else {entry}"
        pick = For(
            "i",
            self.size,
            Lanes(f"{entry} = {table}[0, 1 + i]"),
            For("m", f"1, len({table})", Lanes(later)),
        )
        return [For("row", self.starts, _uniform_into("E[0, b]"), pick)]


@dataclass(frozen=True)
class Subset(Draw):
    """Weights − 1 of a batch without replacement."""

    batch: int = 1

    def table(self, sigma: float) -> Doubles:
        """Batch size."""
        return np.array([[float(self.batch)]])

    def code(self, table: str) -> list[Statement]:
        """Selection sampling: a sample is taken with probability wanted/(still to be seen)."""
        left = f"({self.row + self.size} - row)"
        take = Lanes(
            f"taken = 1.0 if E[row, b] * {left} < E[0, b] else 0.0",
            "E[0, b] -= taken",
            f"E[row, b] = taken * ({self.size} / {table}[0, 0]) - 1.0",
        )
        wanted = Lanes(f"E[0, b] = {table}[0, 0]")
        return [wanted, For("row", self.rows, _uniform_into("E[row, b]"), take)]


class Multiset(Subset):
    """Weights − 1 of a batch with replacement."""

    def code(self, table: str) -> list[Statement]:
        """Count the draws."""
        count = f"E[{self.row} + int(E[0, b] * {self.size}), b] += {self.size} / {table}[0, 0]"
        return [
            For("row", self.rows, Lanes("E[row, b] = -1.0")),
            For("draw", f"int({table}[0, 0])", _uniform_into("E[0, b]"), Lanes(count)),
        ]


class Rescaled(Draw):
    """σ times what the rows hold."""

    def table(self, sigma: float) -> Doubles:
        """σ."""
        return np.array([[sigma]])

    def code(self, table: str) -> list[Statement]:
        """A factor for each row."""
        return [For("row", self.rows, Lanes(f"E[row, b] *= {table}[0, 0]"))]


class Clear(Draw):
    """Zeros, for jumps to be added to."""

    def table(self, sigma: float) -> Doubles:
        """Nothing."""
        return np.zeros((1, 1))

    def code(self, table: str) -> list[Statement]:
        """Zeros."""
        return [For("row", self.rows, Lanes("E[row, b] = 0.0"))]


@dataclass(frozen=True)
class Jumps(Draw):
    """Adds Σ_m z_m (N_m − σ²ν_m) with N_m Poisson of mean σ²ν_m."""

    displacements: tuple[tuple[float, ...], ...] = ()
    rates: tuple[float, ...] = ()

    def table(self, sigma: float) -> Doubles:
        """For each jump: its mean number, z, and the distribution function up to 1 − 2⁻⁵³."""
        means = sigma**2 * np.array(self.rates)
        longest = int(means.max() + 10.0 * math.sqrt(means.max()) + 20.0)
        distribution = scipy.special.pdtr(np.arange(longest), means[:, None])
        needed = 1 + int(np.argmax((distribution > 1.0 - 2.0**-53).all(axis=0)))
        return np.hstack([means[:, None], self.displacements, distribution[:, :needed]])

    def code(self, table: str) -> list[Statement]:
        """A number of jumps is how many values of the distribution function a uniform reaches."""
        reached = f"E[1, b] += 1.0 if E[0, b] >= {table}[m, j] else 0.0"
        jumps = For(
            "m",
            f"len({table})",
            _uniform_into("E[0, b]"),
            Lanes(f"E[1, b] = -{table}[m, 0]"),
            For("j", f"{1 + self.size}, {table}.shape[1]", Lanes(reached)),
            For("i", self.size, Lanes(f"E[row + i, b] += {table}[m, 1 + i] * E[1, b]")),
        )
        return [For("row", self.starts, jumps)]
