"""Functions of the weights as compiled JAX programs, between NumPy vectors.

Nothing else in this room runs the user's network. Vectors come and go as NumPy arrays in double
precision; matrices with N columns are made in blocks of rows, stay where JAX keeps them and are
consumed block by block, so that nothing larger than n × N is ever stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Precision = Literal["float64", "float32"]

BLOCK_BYTES = 2**25
"""Largest size of a block of rows, if it has more than one."""
SMALLEST_BYTES = 2**19
"""Size up to which rows are one block, since each has its price."""
PARTS = 8
"""Blocks of a matrix between these sizes."""


@dataclass(frozen=True)
class Compiled:
    """A traced function, compiled when first called, in single or double precision.

    JAX knows double precision as a setting of the process, which is entered for the call alone. It
    is for single precision too: JAX 0.10 keeps constants of NumPy in the precision in which it
    has met them first, and a function is not to be met in two.

    Attributes
    ----------
    function : callable
        Of JAX arrays.
    precision : {"float64", "float32"}
        In which arrays of floating-point numbers are passed on.
    """

    function: Callable[..., Any]
    precision: Precision

    @cached_property
    def _jitted(self) -> Callable[..., Any]:
        return jax.jit(self.function)

    def __call__(self, *arguments: Any) -> Any:
        """Arrays of JAX."""
        with jax.enable_x64(True):
            return self._jitted(*jax.tree.map(self._read, arguments))

    def doubles(self, *arguments: Any) -> Any:
        """The same as NumPy arrays."""
        return jax.tree.map(lambda x: np.asarray(x, dtype=np.float64), self(*arguments))

    def _read(self, given: Any) -> Any:
        if isinstance(given, np.ndarray) and given.dtype.kind == "f":
            return jnp.asarray(given, dtype=self.precision)
        return given


@dataclass(frozen=True)
class Derivative:
    """A derivative D(w), n × m, known by its action (w, t) ↦ D(w) t alone.

    Attributes
    ----------
    action : callable
        Traced, linear in its second argument.
    rows, columns : int
        n and m.
    precision : {"float64", "float32"}
    """

    action: Callable[[Any, Any], Any]
    rows: int
    columns: int
    precision: Precision

    def mv(self, w: Doubles, t: Doubles) -> Doubles:
        """D t, shape (n,)."""
        return self._mv.doubles(w, t)

    def rmv(self, w: Doubles, u: Doubles) -> Doubles:
        """Dᵀ u, shape (m,)."""
        return self._rmv.doubles(w, u)

    def combined(self, w: Doubles, u: Doubles) -> Any:
        """Rows u_kᵀ D, a block of shape (b, m), of u of shape (b, n)."""
        return self._combined(w, u)

    def blocks(self, w: Doubles) -> Iterator[tuple[slice, Any]]:
        """Rows of D with their places, a block at a time; the last one is filled up with zeros."""
        size = self.block
        for first in range(0, self.rows, size):
            yield (
                slice(first, min(first + size, self.rows)),
                self.combined(w, np.eye(size, self.rows, k=first)),
            )

    def products(self, w: Doubles, block: Any) -> Doubles:
        """D t for every row t of a block, shape (rows, n)."""
        return self._products.doubles(w, block)

    def curved(self, w: Doubles, block: Any, u: Doubles) -> Doubles:
        """∇_w Σ_k u_kᵀ D(w) t_k with the rows t_k of a block frozen, by one reverse sweep.

        Parameters
        ----------
        w : ndarray, shape (N,)
        block : array, shape (b, m)
            The t_k.
        u : ndarray, shape (at most b, n)
            The u_k; those left out are zero.
        """
        filled = np.zeros((len(block), self.rows))
        filled[: len(u)] = u
        return self._curved.doubles(w, block, filled)

    def gram(self, blocks: Sequence[tuple[slice, Any]]) -> Doubles:
        """D Dᵀ, shape (n, n), of all its blocks of rows."""
        found = np.empty((self.rows, self.rows))
        for i, (left, a) in enumerate(blocks):
            for right, b in blocks[: i + 1]:
                part = self._cross.doubles(a, b)
                part = part[: left.stop - left.start, : right.stop - right.start]
                found[left, right], found[right, left] = part, part.T
        return found

    def squares(self, block: Any) -> float:
        """Sum of the squares of a block."""
        return float(self._squares(block))

    @property
    def block(self) -> int:
        """Rows in a block: a few parts of the whole, so that work on one adds little to it."""
        row = 8 * max(1, self.columns)
        size = np.clip(row * self.rows // PARTS, SMALLEST_BYTES, BLOCK_BYTES)
        return int(np.clip(size // row, 1, self.rows))

    @cached_property
    def _mv(self) -> Compiled:
        return Compiled(self.action, self.precision)

    @cached_property
    def _rmv(self) -> Compiled:
        return Compiled(self._transposed, self.precision)

    @cached_property
    def _combined(self) -> Compiled:
        return Compiled(
            lambda w, u: jax.lax.map(lambda row: self._transposed(w, row), u), self.precision
        )

    @cached_property
    def _products(self) -> Compiled:
        return Compiled(
            lambda w, block: jax.vmap(lambda t: self.action(w, t))(block), self.precision
        )

    @cached_property
    def _curved(self) -> Compiled:
        def added(w: Any, total: Any, t: Any, u: Any) -> Any:
            return total + jax.grad(lambda x: jnp.vdot(u, self.action(x, t)))(w)

        def total(w: Any, block: Any, u: Any) -> Any:
            # Row by row: together they would need the memory of several blocks.
            rows = (block, u)
            return jax.lax.scan(lambda s, x: (added(w, s, *x), None), jnp.zeros_like(w), rows)[0]

        return Compiled(total, self.precision)

    @cached_property
    def _cross(self) -> Compiled:
        return Compiled(lambda a, b: a @ b.T, self.precision)

    @cached_property
    def _squares(self) -> Compiled:
        return Compiled(lambda block: jnp.sum(block**2), self.precision)

    def _transposed(self, w: Any, u: Any) -> Any:
        origin = jnp.zeros(self.columns, dtype=self.precision)
        return jax.vjp(lambda t: self.action(w, t), origin)[1](u)[0]


@dataclass(frozen=True)
class SampleDerivative(Derivative):
    """The derivative of residuals of which each is that of one sample, at the cost of the samples.

    Attributes
    ----------
    sample : callable
        Traced: the residuals of a sample, shape (outputs,), at w and its number.
    outputs : int
        m of them for each sample.
    """

    sample: Callable[[Any, Any], Any]
    outputs: int

    def blocks(self, w: Doubles) -> Iterator[tuple[slice, Any]]:
        """Rows of D with their places; as of any derivative, each by a sweep over its sample."""
        for first in range(0, self.rows, self.block):
            place = slice(first, min(first + self.block, self.rows))
            yield place, self._rows(w, np.arange(first, first + self.block) // self.outputs)

    def curved(self, w: Doubles, block: Any, u: Doubles) -> Doubles:
        """∇_w Σ_k u_kᵀ D(w) t_k, sample by sample: ∇_w Σ_i D_i(w) s_i with s_i = Σ_k u_ki t_k."""
        filled = np.zeros((len(block), self.rows))
        filled[: len(u)] = u
        return self._bent.doubles(w, block, filled)

    @property
    def block(self) -> int:
        """Rows in a block, those of whole samples."""
        return max(super().block // self.outputs, 1) * self.outputs

    @cached_property
    def _rows(self) -> Compiled:
        def rows(w: Any, numbers: Any) -> Any:
            first = numbers[:: self.outputs]
            inside = (first < self.rows // self.outputs)[:, None, None]
            found = jax.vmap(lambda i: jax.jacrev(self.sample)(w, i))(first)
            return jnp.reshape(jnp.where(inside, found, 0.0), (len(numbers), self.columns))

        return Compiled(rows, self.precision)

    @cached_property
    def _bent(self) -> Compiled:
        def one(w: Any, i: Any, s: Any) -> Any:
            along = jax.vmap(lambda t: jax.jvp(lambda x: self.sample(x, i), (w,), (t,))[1])(s)
            return jnp.trace(along)

        def total(w: Any, block: Any, u: Any) -> Any:
            def part(w: Any, first: Any) -> Any:
                numbers = first + jnp.arange(size)
                mixed = jax.lax.dynamic_slice_in_dim(filled, first * m, size * m, 1).T @ block
                mixed = jnp.reshape(mixed, (size, m, self.columns))
                along = jax.vmap(one, (None, 0, 0))
                return jax.grad(lambda x: jnp.sum(along(x, numbers, mixed)))(w)

            m, size = self.outputs, self.block // self.outputs
            count = -(-self.rows // (size * m))
            filled = jnp.pad(u, ((0, 0), (0, count * size * m - self.rows)))
            firsts = size * jnp.arange(count)
            return jax.lax.scan(lambda s, i: (s + part(w, i), None), jnp.zeros_like(w), firsts)[0]

        return Compiled(total, self.precision)


@dataclass(frozen=True)
class Metric:
    """A symmetric positive Ω(w), known by its action (w, g) ↦ Ω(w) g; the identity if none.

    Attributes
    ----------
    action : callable or None
        Traced, linear in its second argument.
    precision : {"float64", "float32"}
    """

    action: Callable[[Any, Any], Any] | None
    precision: Precision

    def __call__(self, w: Doubles, block: Any) -> Any:
        """Ω g for every row g of a block, shape (b, N)."""
        return block if self.action is None else self._products(w, block)

    def vector(self, w: Doubles, g: Doubles) -> Doubles:
        """Ω g, shape (N,)."""
        return g if self.action is None else np.asarray(self(w, g[None])[0], dtype=np.float64)

    def turned(self, w: Doubles, block: Any, gradients: Any) -> Doubles:
        """Σ_k DΩ(w)[t_k] g_k over the rows of two blocks, shape (N,); Ω is not the identity."""
        return self._turned.doubles(w, block, gradients)

    @cached_property
    def _products(self) -> Compiled:
        return Compiled(
            lambda w, block: jax.vmap(lambda g: self._action(w, g))(block), self.precision
        )

    @cached_property
    def _turned(self) -> Compiled:
        def one(w: Any, t: Any, g: Any) -> Any:
            return jax.jvp(lambda x: self._action(x, g), (w,), (t,))[1]

        def total(w: Any, block: Any, gradients: Any) -> Any:
            return jnp.sum(jax.vmap(lambda t, g: one(w, t, g))(block, gradients), axis=0)

        return Compiled(total, self.precision)

    def _action(self, w: Any, g: Any) -> Any:
        return g if self.action is None else self.action(w, g)
