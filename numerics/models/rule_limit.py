"""The limit of an update rule as fast functions of many points of Γ."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from derive import derive_limit
from derive.errors import NotCoveredError
from derive.rule_limit import RuleLimit
from derive.rules.randomness import Mixture as Expressions
from derive.rules.regimes.local_rounds import RoundsMotion
from derive.symbolic.bundles import flattened
from derive.symbolic.numbers.stacks import Stack
from derive.symbols import alpha as ALPHA
from derive.theory.limit_map import SlowMotion as Theorem

from ..codegen.functions import CompiledFunction, compile_function
from ..errors import ArgumentError
from ..geometry.slow_motion import Indices, Mixture, SlowMotion, TurnedMotion
from ..geometry.small_matrices import Array
from .compiled_limit import CompiledLimit, compile_limit
from .local_model import CHUNK_BYTES
from .noiseless_rule import NoiselessRule

LARGEST_STEP = 0.02
"""Step size, in units of 1/λ_max, from which the limit α → 0 is extrapolated."""

ROUND_OFF = 1e-8
"""Part of the noise below which what is left of it along Γ counts as nothing."""

LADDER = 6
"""Step sizes that the extrapolation rests on, each half the one before."""


@dataclass(frozen=True)
class CompiledRuleLimit(CompiledLimit):
    """The limiting equation of an update rule as functions of points.

    As `CompiledLimit`, with the theorem for any rule evaluated at each point; the limit α → 0,
    where it has no closed form, is extrapolated from six step sizes, to about 10⁻⁸.

    Attributes
    ----------
    limit : RuleLimit
        What is compiled.
    """

    limit: RuleLimit

    def drift(self, w: ArrayLike) -> Array:
        """Itô drift b of the weights, shape (..., N), per unit of slow time."""
        return self._at(w, lambda motion, n: motion.drift[:, :n])

    def covariance(self, w: ArrayLike) -> Array:
        """Θ = s sᵀ of the weights, shape (..., N, N), per unit of slow time."""
        return self._at(w, lambda motion, n: motion.spread[:, :n, :n])

    def diffusion(self, w: ArrayLike) -> Array:
        """Symmetric square root s of Θ, shape (..., N, N), per square root of slow time."""
        values, axes = np.linalg.eigh(self.covariance(w))
        # The root of round-off is not round-off.
        values[values < ROUND_OFF * self._noise_size] = 0.0
        return (axes * np.sqrt(values)[..., None, :]) @ np.swapaxes(axes, -1, -2)

    def projector(self, w: ArrayLike) -> Array:
        """Projector P on the tangent space, oblique in general, shape (..., N, N)."""
        return self._at(w, lambda motion, n: motion.projector[:, :n, :n], scaled=False)

    def spectrum(self, w: ArrayLike) -> Array:
        """Non-zero eigenvalues of H, ascending, shape (..., K)."""
        return self._landscape.spectrum(w)

    def normals(self, w: ArrayLike) -> Array:
        """Orthonormal basis of the normal space of Γ as rows, shape (..., K, N)."""
        return self._landscape._frame(w)[1]

    def regularizer(self, w: ArrayLike) -> Array:
        """Refused: an update rule has no Reg in general."""
        raise NotCoveredError("limit: an update rule has no regularizer; ask for its drift")

    def across(self, w: ArrayLike) -> tuple[Array, Array]:
        """Refused: the fluctuations of an update rule are evaluated in `derive`."""
        raise NotCoveredError(
            "fluctuations: those of an update rule are not compiled; "
            "limit.at_step(α).fluctuations() has them at points of Γ"
        )

    def beginnings(self, w: ArrayLike) -> Array:
        """Where the limit of a run that starts at w starts, shape (..., N).

        The end of the rule without its small noise, its memory at rest and what keeps its size
        averaged over in each step; for the limit α → 0 at the step size 0.02/λ_max. NaN where it
        does not end on Γ.
        """
        points = self._points(w)
        step = float(self.limit.equation.step) or self._largest_step
        ends = self._noiseless.end(points.reshape(-1, self.dimension), step)
        return self.retract(ends).reshape(points.shape)

    def descent_limit(
        self, w: ArrayLike, alpha: float, momentum: float = 0.0, velocity: ArrayLike | None = None
    ) -> Array:
        """Nearest point of Γ, shape (..., N): with randomness of fixed size there is no Φ_α(w).

        It differs from the slow coordinate by a fluctuation that is stationary and O(σ).
        """
        return self.retract(w)

    @property
    def is_projected(self) -> bool:
        """False: see `descent_limit`."""
        return False

    @property
    def is_noisy(self) -> bool:
        """Whether Θ does not vanish at the base point of Γ."""
        return bool(np.abs(self.covariance(self._base)).max() > ROUND_OFF * self._noise_size)

    def stacked(self, w: Array, steps: Array) -> Theorem:
        """The theorem at a point w of Γ, shape (N,), at each of several step sizes, shape (P,)."""
        points = np.tile(self._points(w), (len(steps), 1))
        motion = self._motion_at(np.column_stack([points, steps]))
        optimizer, jet = self.limit.motion.optimizer, motion.jet
        return Theorem(jet if optimizer is None else optimizer.turned(jet), Stack(motion.normals))

    # How it is done -----------------------------------------------------------------------------

    @cached_property
    def _landscape(self) -> CompiledLimit:
        """Γ alone, as that of descent without noise."""
        return compile_limit(derive_limit(self.limit.problem.landscape))

    @property
    def model(self) -> Any:
        """What is generated for Γ alone."""
        return self._landscape.model

    @cached_property
    def values(self) -> CompiledFunction:
        """The jet of the rule at points (w, α), packed as `_motion` unpacks it."""
        e = self.limit.motion.expansion
        scalars = flattened(e.parts)
        scalars += [r.diff(w) for r in e.rule.rest or () for w in e.rule.weights]
        return compile_function((*self.limit.problem.weights, ALPHA), scalars, "rule")

    @cached_property
    def _noiseless(self) -> NoiselessRule:
        motion = self.limit.motion
        return NoiselessRule(self.limit.built.assembled(motion.expansion.mean_map))

    @cached_property
    def _bend(self) -> Indices:
        entries = [entry[:3] for entry in self.limit.motion.expansion.bend]
        return np.array(entries, dtype=np.int64).reshape(-1, 3)

    def _motion(self, points: Array, step: float) -> SlowMotion | TurnedMotion:
        """The theorem at points of Γ, shape (P, N), and a step size."""
        motion = self._motion_at(np.column_stack([points, np.full(len(points), step)]))
        optimizer = self.limit.motion.optimizer
        return motion if optimizer is None else TurnedMotion(motion, optimizer)

    def _motion_at(self, inputs: Array) -> SlowMotion:
        """The theorem at points of Γ beside whatever else `values` asks for."""
        e, points = self.limit.motion.expansion, inputs[:, : self.dimension]
        packed = _Packed(self.values(inputs))
        size, n = len(e.rule.state), self.dimension
        first = packed.mixture(e.first)
        bends, bias = packed.take(len(e.bend)), packed.take(size)
        noise = np.zeros((len(points), size, size))
        for mixture in e.noise:
            noise += packed.mixture(mixture).square(np.ones((len(points), 1, 1)))
        memory = size - n
        rest = packed.take(memory * n).reshape(len(points), memory, n)
        rows = self.normals(points)
        normals = np.zeros((len(points), rows.shape[1] + memory, size))
        normals[:, : rows.shape[1], :n] = rows
        normals[:, rows.shape[1] :, :n] = -rest
        normals[:, rows.shape[1] :, n:] = np.eye(memory)
        return SlowMotion(first, self._bend, bends, bias, noise, normals)

    def _at(self, w: ArrayLike, part: Any, *, scaled: bool = True) -> Array:
        """A part of the theorem in slow time, at a step size or extrapolated to none."""
        points = self._points(w)
        flat = points.reshape(-1, self.dimension)
        unknowns = (self.codimension + len(self.limit.motion.expansion.rule.memory)) ** 4
        chunk = max(1, CHUNK_BYTES // (8 * unknowns))
        pieces = [
            self._part(flat[start : start + chunk], part, scaled)
            for start in range(0, max(1, len(flat)), chunk)
        ]
        values = np.concatenate(pieces)
        return values.reshape(points.shape[:-1] + values.shape[1:])

    def _part(self, points: Array, part: Any, scaled: bool) -> Array:
        equation, n = self.limit.equation, self.dimension
        power = float(equation.power or 0) if scaled else 0.0
        if scaled and equation.power is None:
            return np.zeros_like(part(self._motion(points, self._largest_step), n))
        if equation.step != 0:
            step = float(equation.step)
            return np.asarray(part(self._motion(points, step), n)) / step**power
        steps = self._largest_step * 0.5 ** np.arange(LADDER)
        values = [np.asarray(part(self._motion(points, a), n)) / a**power for a in steps]
        return _extrapolated(steps ** (1 / self._root), values)

    @property
    def _root(self) -> int:
        """Drift and Θ are expanded in this root of α."""
        return int(getattr(self.limit.equation.power, "q", 1))

    @cached_property
    def _base(self) -> Array:
        return np.array([float(x) for x in self.limit.manifold.base[: self.dimension]])

    @cached_property
    def _largest_step(self) -> float:
        return float(LARGEST_STEP / self._landscape.spectrum(self._base).max())

    @cached_property
    def _noise_size(self) -> float:
        """Size that Θ would have at the base point if nothing cancelled in it, in slow time."""
        step = float(self.limit.equation.step) or self._largest_step
        motion = self._motion(self._base[None], step)
        kicks = np.linalg.norm(motion.noise)
        return float(kicks / step ** float(self.limit.equation.power or 0))

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledRuleLimit, (self.limit,)


@dataclass(frozen=True)
class CompiledRoundsLimit(CompiledRuleLimit):
    """The same under `LocalRounds`: descent with Σ' in place of Σ, in an eigenbasis of H."""

    def _motion(self, points: Array, step: float) -> SlowMotion:
        motion = self._motion_at(np.column_stack([points, np.full(len(points), step)]))
        return replace(motion, noise=self._shared(points, motion.noise))

    def _shared(self, points: Array, noise: Array) -> Array:
        """S of one worker with the share that acts, shape (P, N, N)."""
        assert isinstance(self.limit.motion, RoundsMotion)
        rounds = self.limit.motion.rounds
        eigenvalues, rows = self._landscape._frame(points)
        full = np.linalg.qr(np.swapaxes(rows, -1, -2), mode="complete")[0]
        full = np.concatenate([rows, np.swapaxes(full, -1, -2)[:, rows.shape[1] :]], axis=1)
        rates = np.zeros((len(points), self.dimension))
        rates[:, : rows.shape[1]] = float(rounds.time) * eigenvalues
        pairs = rates[:, :, None] + rates[:, None, :]
        alone = np.where(pairs > 0, 1 + np.expm1(-pairs) / np.where(pairs > 0, pairs, 1.0), 0.0)
        shares = 1 / rounds.workers + (1 - 1 / rounds.workers) * alone
        seen = full @ noise @ np.swapaxes(full, -1, -2)
        return np.asarray(np.swapaxes(full, -1, -2) @ (shares * seen) @ full)

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledRoundsLimit, (self.limit,)


@compile_limit.register
def _(limit: RuleLimit) -> CompiledRuleLimit:
    require_numbers(limit)
    rounds = isinstance(limit.motion, RoundsMotion)
    return (CompiledRoundsLimit if rounds else CompiledRuleLimit)(limit)


def require_numbers(limit: RuleLimit) -> None:
    """Refuse a limit that holds symbols without values."""
    parameters = ", ".join(map(str, limit.problem.parameters))
    if parameters:
        raise ArgumentError(
            f"limit: {parameters} still stands for any value; bind it with "
            "limit.subs({...}) before compiling"
        )
    if not limit.equation.step.is_number:
        raise ArgumentError(
            f"limit: its step size is {limit.equation.step}; take limit.at_step(0.1) or the like"
        )


@dataclass
class _Packed:
    """Numbers at points, taken one after the other."""

    values: Array
    at: int = 0

    def take(self, count: int) -> Array:
        """The next numbers, shape (P, count)."""
        self.at += count
        return self.values[:, self.at - count : self.at]

    def mixture(self, mixture: Expressions) -> Mixture:
        """The next mixture."""
        rows, cols = mixture.matrices[0].shape
        count = len(mixture.matrices)
        matrices = self.take(count * rows * cols).reshape(-1, count, rows, cols)
        pairs = np.array([pair[:2] for pair in mixture.products], dtype=np.int64)
        return Mixture(matrices, self.take(count), pairs, self.take(len(pairs)))


def _extrapolated(x: Any, values: list[Array]) -> Array:
    """The value at x = 0 of the polynomial through some points (Neville)."""
    found = list(values)
    for order in range(1, len(x)):
        for i in range(len(x) - order):
            found[i] = (x[i] * found[i + 1] - x[i + order] * found[i]) / (x[i] - x[i + order])
    return found[0]
