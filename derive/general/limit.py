"""The limit for every loss: Reg, Σ, class, time scale and equation by differentiating.

The loss is an unknown L ≥ 0 that vanishes on Γ, a mean of such, or a mean of squared residuals
h − y; its arguments are expanded around the weights to second order in the noise, whose expectation
replaces η_i η_j by its covariance; where the noise jumps, L̂ is taken at the jump. On Γ, L = 0,
∇L = 0, P∇²L = 0; h = y, P∇h = 0. What is left says which outcome is generic, and P∇Reg = 0 or
PΣP = 0 where another one would hold.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef

from ..errors import ProblemError
from ..laws.expansions import Jump, LevyPair
from ..laws.law import Law
from ..laws.rare_jumps import CustomLaw
from ..laws.scaled import keeps_its_size
from ..laws.shrinking import Gaussian
from ..noise.classification import Outcome
from ..reading import sequence
from ..symbols import alpha, sigma
from .reading import Place, Reader
from .tensors import DELTA, Factor, Index, Tensor, derivative, fresh

PRECONDITIONER, ROOT = "Omega", "R"
"""Ω, and the symmetric matrix of which it is the square."""


@dataclass(frozen=True)
class UnknownLosses:
    """Losses L, or ℓ_s of samples, that are ≥ 0 and vanish on Γ."""

    name: str

    def on_manifold(self, tensor: Tensor) -> Tensor:
        """Without the terms that vanish on Γ: L = 0 and ∇L = 0 there."""
        return tensor.kept(lambda fs: not any(self._is_unknown(f) and f.order < 2 for f in fs))

    def is_normal(self, factor: Factor, index: Index) -> bool:
        """Whether P takes a factor to zero by this index: P∇²L = 0."""
        held = any(index in slot for slot in factor.slopes)
        return self._is_unknown(factor) and factor.order == 2 and held

    def _is_unknown(self, factor: Factor) -> bool:
        return factor.name == self.name and not factor.is_displaced


@dataclass(frozen=True)
class UnknownResiduals:
    """Residuals h − y that vanish on Γ.

    Attributes
    ----------
    function : Factor
        h, with its indices.
    target : Tensor
        What it is equal to on Γ, with the same indices.
    """

    function: Factor
    target: Tensor

    def on_manifold(self, tensor: Tensor) -> Tensor:
        """With y for h."""

        def replaced(monomial: tuple[tuple[Index, ...], tuple[Factor, ...]]) -> Tensor:
            summed, factors = monomial
            found = Tensor.of(*(f for f in factors if not self._is_value(f)))
            for f in factors:
                if self._is_value(f):
                    found = found * self.target.renamed(dict(zip(self._own, _own(f), strict=True)))
            for index in summed:
                found = found.summed(index)
            return found

        return tensor.map(replaced)

    def is_normal(self, factor: Factor, index: Index) -> bool:
        """Whether P takes a factor to zero by this index: P∇h = 0."""
        held = any(index in slot for slot in factor.slopes)
        return self._is_unknown(factor) and factor.order == 1 and held

    def _is_value(self, factor: Factor) -> bool:
        return self._is_unknown(factor) and factor.order == 0

    def _is_unknown(self, factor: Factor) -> bool:
        return factor.name == self.function.name and not factor.is_displaced

    @cached_property
    def _own(self) -> tuple[Index, ...]:
        return _own(self.function)


def _own(factor: Factor) -> tuple[Index, ...]:
    return (*factor.indices, *(i for point in factor.points for i in point.indices))


@dataclass(frozen=True)
class GeneralDerivation:
    """The limit of noisy gradient descent for every loss of a kind.

    Attributes
    ----------
    loss, noisy_loss : Expr
        As they were stated.
    weights : str
        Name of the vector of weights.
    regularizer, covariance, hessian : Tensor
        Reg, Σ_kl and H_kl on Γ.
    tangential : Tensor
        What PΣP leaves of Σ_kl.
    outcome : Outcome
        The generic one.
    free : tuple of Index
        k and l.
    """

    loss: sp.Expr
    noisy_loss: sp.Expr
    weights: str
    regularizer: Tensor
    covariance: Tensor
    hessian: Tensor
    tangential: Tensor
    outcome: Outcome
    free: tuple[Index, Index]

    @property
    def time_scale(self) -> sp.Expr | None:
        """Iterations per unit of slow time; None at rest."""
        if self.outcome is Outcome.NON_DEGENERATE:
            return 1 / (alpha * sigma**2)
        return 1 / (alpha**2 * sigma**2) if self.outcome.is_degenerate else None

    @property
    def hessian_multiple(self) -> sp.Expr | None:
        """The number c with Σ = cH on Γ, if there is one."""
        return self.covariance.ratio(self.hessian)

    @property
    def isotropy(self) -> sp.Expr | None:
        """The number c with Σ = cI, if there is one."""
        return self.covariance.ratio(Tensor.of(Factor(DELTA, tuple(sorted(self.free)))))

    @property
    def laplacian(self) -> Tensor:
        """ΔL = tr H on Γ."""
        total = self.hessian * Tensor.of(Factor(DELTA, tuple(sorted(self.free))))
        return _squared(reduce(Tensor.summed, self.free, total))

    @property
    def preconditioned(self) -> GeneralDerivation:
        """The limit of v, for w = R v with a constant symmetric R, whose square is Ω."""
        return replace(
            self,
            covariance=self._turned(self.covariance),
            hessian=self._turned(self.hessian),
            tangential=self._turned(self.tangential),
        )

    def _turned(self, tensor: Tensor) -> Tensor:
        """R T R."""
        for index in self.free:
            inner = fresh(index.size)
            root = Tensor.of(Factor(ROOT, (index, inner)))
            tensor = (tensor.renamed({index: inner}) * root).summed(inner)
        return tensor


def derive_general(
    loss: sp.Expr,
    noisy_loss: sp.Expr,
    weights: sp.IndexedBase | sp.MatrixSymbol,
    noise: Any,
    covariance: Mapping[Any, sp.Lambda] | None = None,
    *,
    law: Law | None = None,
) -> GeneralDerivation:
    """The general limit, as `general_limit` says."""
    arrays = [noise] if isinstance(noise, _ARRAYS) else sequence(noise, "noise")
    for name, given in (("weights", weights), *(("noise", array) for array in arrays)):
        if not isinstance(given, _ARRAYS):
            raise ProblemError(f"{name}: expected an IndexedBase or a MatrixSymbol, got {given!r}")
    reader = Reader(
        _name(weights), tuple(map(_name, arrays)), _sizes(loss, noisy_loss, weights, *arrays)
    )
    n = reader.sizes.get(reader.weights, (None,))[-1]
    if n is None:
        raise ProblemError(
            f"weights: {weights} is of unknown size; write IndexedBase('{weights}', shape=(N,))"
        )
    still, noisy = reader.read(loss, {}), reader.read(noisy_loss, {})
    if reader.part(noisy, 0) != still:
        raise ProblemError("noisy_loss: L̂(w, 0) must equal L(w)")
    zero, k, l = _zero_set(loss, reader), Index("k", n), Index("l", n)  # noqa: E741
    laws = {_name(key): value for key, value in (covariance or {}).items()}
    pair = _pair_of_an_entry(law or Gaussian())
    mean = _Mean(reader, laws, pair.covariance[0])
    first, second = reader.part(noisy, 1), reader.part(noisy, 2)
    slopes = [derivative(first, reader.weights, index) for index in (k, l)]
    averaged, squared = mean(second), mean(slopes[0] * slopes[1])
    for place, rate in _places(reader, pair.jumps, laws):
        rise = reader.at(place).read(noisy_loss, {}) + still.scaled(sp.Integer(-1))
        bent = rise + reader.put(first, place).scaled(sp.Integer(-1))
        second = second + bent
        steps = [derivative(rise, reader.weights, index) for index in (k, l)]
        averaged = averaged + place.summed(bent).scaled(rate)
        squared = squared + place.summed(steps[0] * steps[1]).scaled(rate)
    regularizer, sigma_kl = zero.on_manifold(averaged), zero.on_manifold(squared)
    hessian = derivative(derivative(still, reader.weights, k), reader.weights, l)
    left = sigma_kl.kept(
        lambda fs: not any(zero.is_normal(f, index) for f in fs for index in (k, l))
    )
    bends = zero.on_manifold(derivative(second, reader.weights, k))
    moves = bends.terms or zero.on_manifold(slopes[0]).terms
    outcome = _outcome(_depends(regularizer, reader.weights), left, sigma_kl, bool(moves))
    return GeneralDerivation(
        loss,
        noisy_loss,
        reader.weights,
        regularizer,
        sigma_kl,
        zero.on_manifold(hessian),
        left,
        outcome,
        (k, l),
    )


def _squared(tensor: Tensor) -> Tensor:
    """With Ω_ij for Σ_k R_ki R_kj."""

    def of_term(monomial: tuple[tuple[Index, ...], tuple[Factor, ...]]) -> Tensor:
        summed, factors = monomial
        for k in summed:
            held = [f for f in factors if k in f.all_indices()]
            if len(held) == 2 and all(f.name == ROOT and f.indices[0] == k for f in held):
                ends = tuple(sorted(f.indices[1] for f in held))
                rest = [f for f in factors if f not in held]
                left = (i for i in summed if i != k)
                return Tensor.of(*rest, Factor(PRECONDITIONER, ends), summed=left)
        return Tensor.of(*factors, summed=summed)

    return tensor.map(of_term)


def _pair_of_an_entry(law: Law) -> LevyPair:
    """The Lévy pair of one entry of the noise."""
    fits = isinstance(law, CustomLaw) or (
        isinstance(law, Law) and law.has_independent_coordinates and not keeps_its_size(law)
    )
    if not fits:
        raise ProblemError(
            f"law: expected that of one entry, such as Bernoulli() or CustomLaw([[1]], [([z], "
            f"rate)]), got {law!r}; dependent entries are stated by covariance="
        )
    return law.levy_pair(1)


def _places(
    reader: Reader, jumps: Iterable[Jump], correlated: Mapping[str, sp.Lambda]
) -> Iterator[tuple[Place, sp.Expr]]:
    """Where the noise jumps to, one entry at a time, with its rate."""
    for jump, name in itertools.product(jumps, reader.noise):
        if name in correlated:
            continue
        if name not in reader.sizes:
            raise ProblemError(f"{name}: of unknown size; write IndexedBase('{name}', shape=(N,))")
        value = sp.sympify(jump.displacement[0])
        if not value.is_Rational:
            raise ProblemError(f"law: expected jumps to rational numbers, got {value}")
        yield Place(name, tuple(map(fresh, reader.sizes[name])), value), jump.rate


def _outcome(varies: bool, along: Tensor, covariance: Tensor, moves: bool) -> Outcome:
    if varies:
        return Outcome.NON_DEGENERATE
    if along.terms:
        return Outcome.DIFFUSIVE
    if covariance.terms:
        return Outcome.DETERMINISTIC
    return Outcome.TRIVIAL if moves else Outcome.FROZEN


def _depends(tensor: Tensor, weights: str) -> bool:
    """Whether a tensor is a function of the weights on Γ."""
    return any(
        f.name == weights or any(point.name == weights for point in f.points)
        for f in tensor.factors
    )


@dataclass(frozen=True)
class _Mean:
    """The expectation of terms of second order in the noise."""

    reader: Reader
    laws: Mapping[str, sp.Lambda]
    variance: sp.Expr

    def __call__(self, tensor: Tensor) -> Tensor:
        return tensor.map(self._of_term)

    def _of_term(self, monomial: tuple[tuple[Index, ...], tuple[Factor, ...]]) -> Tensor:
        summed, factors = monomial
        first, second = (f for f in factors if f.name in self.reader.noise)
        if first.name != second.name:
            return Tensor({})
        others = [f for f in factors if f.name not in self.reader.noise]
        found = Tensor.of(*others) * self._covariance(first, second)
        for index in summed:
            found = found.summed(index)
        return found

    def _covariance(self, first: Factor, second: Factor) -> Tensor:
        law = self.laws.get(first.name)
        if law is None:
            pairs = zip(first.indices, second.indices, strict=True)
            unit = Tensor.of(*(Factor(DELTA, tuple(sorted(pair))) for pair in pairs))
            return unit.scaled(self.variance)
        indices = (*first.indices, *second.indices)
        if len(law.variables) != len(indices):
            raise ProblemError(
                f"covariance: that of {first.name} has {len(indices)} indices, got {law}"
            )
        return self.reader.read(law.expr, dict(zip(law.variables, indices, strict=True)))


def _zero_set(loss: sp.Expr, reader: Reader) -> UnknownLosses | UnknownResiduals:
    """What the loss says of Γ."""
    inside, bound = _stripped(sp.sympify(loss), {})
    if isinstance(inside, AppliedUndef):
        return UnknownLosses(inside.func.__name__)
    if isinstance(inside, sp.Pow) and inside.exp == 2:
        residual = reader.read(inside.base, bound)
        functions = residual.kept(lambda fs: any(f.points for f in fs))
        rest = residual.kept(lambda fs: not any(f.points for f in fs))
        if len(functions.terms) == 1:
            ((summed, factors), c) = next(iter(functions.terms.items()))
            if len(factors) == 1 and not summed:
                return UnknownResiduals(factors[0], rest.scaled(-1 / c))
    raise ProblemError(
        f"loss: {sp.sstr(loss)} does not say what Γ is; expected c·L(w), a mean of losses l(s, w), "
        "or a mean of squares (h(s, w) - y[s])**2"
    )


def _stripped(e: sp.Expr, bound: dict[sp.Basic, Index]) -> tuple[sp.Expr, dict[sp.Basic, Index]]:
    """A loss without its coefficients and its sums."""
    if isinstance(e, sp.Mul):
        inner = [x for x in e.args if x.has(AppliedUndef)]
        if len(inner) == 1:
            return _stripped(inner[0], bound)
    if isinstance(e, sp.Sum):
        ((symbol, low, high),) = e.limits
        return _stripped(e.function, bound | {symbol: fresh(sp.expand(high - low + 1))})
    return e, bound


_ARRAYS = (sp.IndexedBase, sp.MatrixSymbol)


def _name(array: sp.IndexedBase | sp.MatrixSymbol) -> str:
    return str(array.name if isinstance(array, sp.MatrixSymbol) else array.label)


def _sizes(*given: sp.Basic) -> dict[str, tuple[sp.Expr, ...]]:
    """Shapes of all arrays that have one."""
    found: dict[str, tuple[sp.Expr, ...]] = {}
    for array in _arrays(given):
        if isinstance(array, sp.MatrixSymbol):
            found[array.name] = array.shape[:1] if array.shape[1] == 1 else array.shape
        elif array.shape:
            found[_name(array)] = tuple(array.shape)
    return found


def _arrays(given: Iterable[sp.Basic]) -> set[Any]:
    return {x for e in given for x in sp.preorder_traversal(e) if isinstance(x, _ARRAYS)}
