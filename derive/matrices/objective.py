"""A mean of squares of matrix models: weights are matrices, and derivatives are words in them.

The loss of one sample is ½ c (h(A; W) − y)², with a model h = ⟨A, F(W)⟩ that is linear in its data
matrix A and a polynomial in the weight matrices W: matrix sensing h = tr(A U Uᵀ), deep linear
networks h = tr(A W₃ W₂ W₁). On Γ, where all residuals vanish, H = (c/n) JᵀJ with J_i = ∂h/∂W(A_i),
and the noise that is covered has a covariance Σ = a Hᵏ:

    noise                       L̂ of one sample           Reg on Γ              Σ
    scalar, of each sample      ψ(h − y, ξ)                ½ ∂²_ξ ψ(0, 0)        (ψ_rξ²/(c n)) H
    additive, shared            ½ c (h − y)² + b⟨E, W⟩     0                     b² I
    of the weights, shared      ½ c (h(A; W + E) − y)²     ½ c ⟨‖∂h/∂W‖²⟩        H²
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp

from ..errors import NotCoveredError, ProblemError
from ..symbolic.means import MatrixSamples, Mean
from .entries import Sizes, in_entries, random_matrix, shape_of
from .polynomials import (
    Polynomial,
    Word,
    as_matrix,
    directional,
    product_of,
    squared_norm,
    total,
    trace_gradient,
    trace_polynomial,
)


class SampleMean(sp.MatrixExpr):
    """⟨M⟩, the mean over the samples of a matrix that depends on the data."""

    def __new__(cls, argument: sp.MatrixExpr) -> SampleMean:
        """Wrap an expression in the data symbol."""
        return super().__new__(cls, argument)

    @property
    def shape(self) -> tuple[sp.Expr, sp.Expr]:
        """Shape of the matrix that is averaged."""
        return self.args[0].shape

    def _entry(self, i: Any, j: Any, **_: Any) -> sp.Expr:
        return sp.MatrixElement(self, i, j)

    def _sympystr(self, printer: Any) -> str:
        return f"⟨{printer.doprint(self.args[0])}⟩"

    def _latex(self, printer: Any) -> str:
        return rf"\left\langle {printer.doprint(self.args[0])} \right\rangle"


@dataclass(frozen=True)
class MatrixNoise:
    """What the noise of a matrix model does on Γ.

    Attributes
    ----------
    constant, slope : Expr
        Reg = constant + slope · ⟨‖∂h/∂W‖²⟩.
    multiple, power : Expr, int
        Σ = multiple · H^power.
    size : Expr
        b of additive noise b⟨E, W⟩.
    """

    constant: sp.Expr
    slope: sp.Expr
    multiple: sp.Expr
    power: int
    size: sp.Expr = sp.S.One


NO_NOISE = MatrixNoise(sp.S.Zero, sp.S.Zero, sp.S.Zero, 1)

SHIFTED, ADDED = 2, 0
"""Powers of H in the covariance of noise of the weights, and of additive noise."""


@dataclass(frozen=True)
class TraceObjective:
    """The loss of one sample, ½ c (h(A; W) − y)², in words.

    Attributes
    ----------
    value : Expr
        h(A; W), a sum of traces.
    target : Expr
        y, in the scalar data.
    weight : Expr
        c, a number.
    weights : tuple of MatrixSymbol
        W.
    data : MatrixSymbol
        A, which stands once in every term of h.
    """

    value: sp.Expr
    target: sp.Expr
    weight: sp.Expr
    weights: tuple[sp.MatrixSymbol, ...]
    data: sp.MatrixSymbol

    @cached_property
    def traces(self) -> Polynomial:
        """The model h as a trace polynomial."""
        return trace_polynomial(self.value)

    @cached_property
    def features(self) -> Polynomial:
        """F(W) = ∂h/∂A, so that h = ⟨A, F(W)⟩."""
        return trace_gradient(self.traces, self.data)

    @cached_property
    def gradients(self) -> tuple[Polynomial, ...]:
        """∂h/∂V, linear in A, for every weight V in order."""
        return tuple(trace_gradient(self.traces, v) for v in self.weights)

    @property
    def directions(self) -> tuple[sp.MatrixSymbol, ...]:
        """Symbols dV for a motion of every weight."""
        return tuple(sp.MatrixSymbol(f"d{v.name}", *v.shape) for v in self.weights)

    @cached_property
    def features_along(self) -> Polynomial:
        """DF(W)[dW], so that the Jacobian acts as J dW = ⟨A, DF(W)[dW]⟩."""
        return directional(self.features, dict(zip(self.weights, self.directions, strict=True)))

    @cached_property
    def squared_gradient(self) -> Polynomial:
        """Σ_V ‖∂h/∂V‖² at one sample."""
        return total(squared_norm(gradient) for gradient in self.gradients)

    @cached_property
    def model_gradients(self) -> tuple[sp.MatrixExpr, ...]:
        """∂h/∂V at one sample as expressions, for every weight V in order."""
        pairs = zip(self.weights, self.gradients, strict=True)
        return tuple(as_matrix(gradient, v.shape) for v, gradient in pairs)

    @cached_property
    def mean_squared_gradient(self) -> sp.Expr:
        """⟨Σ_V ‖∂h/∂V‖²⟩, a sum of traces with means over the samples."""
        groups: defaultdict[Word, Polynomial] = defaultdict(dict)
        for word, c in self.squared_gradient.items():
            inner, rest = self._cut_cycle(word)
            groups[rest][inner] = c
        terms = []
        for rest, average in groups.items():
            number, mean = _mean(average)
            matrix = sp.MatMul(mean, product_of(rest)).doit(deep=False) if rest else mean
            terms.append(number * sp.Trace(matrix))
        return sp.Add(*terms)

    @cached_property
    def mean_squared_gradient_slopes(self) -> tuple[sp.MatrixExpr, ...]:
        """∇_V ⟨‖∂h/∂W‖²⟩ for every weight V in order, with means over the samples."""
        slopes = (trace_gradient(self.squared_gradient, v) for v in self.weights)
        pairs = zip(self.weights, slopes, strict=True)
        return tuple(self._averaged(slope, v.shape) for v, slope in pairs)

    def _averaged(self, slope: Polynomial, shape: tuple[sp.Expr, sp.Expr]) -> sp.MatrixExpr:
        """Words L A X A R, grouped by L and R, as L ⟨A X A + …⟩ R."""
        groups: defaultdict[tuple[Word, Word], Polynomial] = defaultdict(dict)
        for word, c in slope.items():
            first, last = self._data_places(word)
            groups[word[:first], word[last + 1 :]][word[first : last + 1]] = c
        terms = []
        for (left, right), inner in groups.items():
            number, mean = _mean(inner)
            sides = [(product_of(side),) if side else () for side in (left, right)]
            terms.append(sp.MatMul(number, *sides[0], mean, *sides[1]))
        return sp.MatAdd(*terms).doit(deep=False) if terms else sp.ZeroMatrix(*shape)

    def _cut_cycle(self, word: Word) -> tuple[Word, Word]:
        """Rotate a cyclic word to A X A R, with X empty if that can be."""
        first, last = self._data_places(word)
        inner, outer = word[first : last + 1], word[last + 1 :] + word[:first]
        if outer or len(inner) == 2:
            return inner, outer
        return (word[last], word[first]), word[first + 1 : last]

    def _data_places(self, word: Word) -> tuple[int, int]:
        first, last = (i for i, (symbol, _) in enumerate(word) if symbol == self.data)
        return first, last


def _mean(inner: Polynomial) -> tuple[sp.Expr, SampleMean]:
    """A common numerical factor, and the mean of the rest."""
    coefficients = list(inner.values())
    common = coefficients[0] if len(set(coefficients)) == 1 else sp.Integer(1)
    terms = [sp.MatMul(c / common, product_of(word)).doit() for word, c in inner.items()]
    return common, SampleMean(sp.MatAdd(*terms).doit())


def read_traces(loss: sp.Expr, weights: tuple[sp.MatrixSymbol, ...]) -> TraceObjective:
    """The objective of a loss with matrices for weights.

    Raises
    ------
    ProblemError
        If h is no polynomial in the weights that is linear in one data matrix.
    NotCoveredError
        If the loss is no mean of one square per sample.
    """
    if not isinstance(loss, Mean) or not isinstance(loss.samples, MatrixSamples):
        raise NotCoveredError(
            f"loss: with matrices for weights, expected a Mean over data matrices, got {loss}"
        )
    names = {trace: sp.Dummy() for trace in loss.summand.atoms(sp.Trace)}
    scalar = loss.summand.xreplace(names)
    number, square = scalar.as_coeff_Mul()
    if not isinstance(square, sp.Pow) or square.exp != 2 or not names:
        raise NotCoveredError(
            f"loss: expected one square c (h(A; W) − y)² per sample, with h a sum of Trace(…), "
            f"got {loss.summand}"
        )
    target = -square.base.xreplace(dict.fromkeys(names.values(), sp.S.Zero))
    value = square.base.xreplace({name: trace for trace, name in names.items()}) + target
    matrices = [s for s in loss.samples.symbols if isinstance(s, sp.MatrixSymbol)]
    if len(matrices) != 1:
        raise NotCoveredError(f"data: expected one data matrix, got {matrices}")
    objective = TraceObjective(value, target, 2 * number, weights, matrices[0])
    _check_words(objective)
    return objective


def _check_words(objective: TraceObjective) -> None:
    known = {*objective.weights, objective.data}
    for word in objective.traces:
        stray = sorted({str(letter) for letter, _ in word if letter not in known})
        if stray:
            raise ProblemError(
                f"loss: {', '.join(stray)} is neither among the weights nor the data; "
                "list it, or absorb it in the data matrix"
            )
        if len(word) < 2 or sum(symbol == objective.data for symbol, _ in word) != 1:
            raise ProblemError(
                f"loss: the term {sp.Trace(product_of(word))} is not linear in the data "
                f"{objective.data.name} and in the weights; choose the data matrix so that it "
                "stands once in every term (for a quadratic model x xᵀ is the data), beside a "
                "weight"
            )


def without_matrices(summand: sp.Expr, noise: tuple[Any, ...]) -> sp.Expr:
    """An expression in traces with the matrix noise set to zero."""
    matrices = {e for e in noise if isinstance(e, sp.MatrixSymbol)}
    silent = {}
    for trace in summand.atoms(sp.Trace):
        kept = {
            word: c
            for word, c in trace_polynomial(trace).items()
            if all(letter.free_symbols.isdisjoint(matrices) for letter, _ in word)
        }
        silent[trace] = sp.Add(*(c * sp.Trace(product_of(w)) for w, c in kept.items()))
    return summand.xreplace(silent)


def in_words(expression: sp.Expr) -> sp.Expr:
    """An expression in traces, expanded, with one symbol for each cyclic word."""
    names: dict[Word, sp.Symbol] = {}
    values = {}
    for trace in sorted(expression.atoms(sp.Trace), key=sp.default_sort_key):
        values[trace] = sp.Add(
            *(
                c * names.setdefault(word, sp.Dummy(real=True))
                for word, c in trace_polynomial(trace).items()
            )
        )
    return sp.expand(expression.xreplace(values))


def residual_law(summand: sp.Expr, objective: TraceObjective) -> tuple[sp.Symbol, sp.Expr]:
    """ψ(r, ξ) of a noisy loss in which scalar noise meets the residual r = h − y alone.

    Raises
    ------
    NotCoveredError
        If the noisy loss depends on the traces in any other way.
    """
    r = sp.Dummy("r", real=True)
    traces = sorted(objective.value.atoms(sp.Trace), key=sp.default_sort_key)
    names: Mapping[sp.Expr, sp.Symbol] = {trace: sp.Dummy(real=True) for trace in traces}
    first = names[traces[0]]
    residual = (objective.value - objective.target).xreplace(dict(names))
    solved = sp.solve(residual - r, first)
    within = sp.expand(summand.xreplace(dict(names)).xreplace({first: solved[0]}))
    if within.has(sp.Trace, sp.MatrixSymbol, *names.values(), *objective.target.free_symbols):
        raise NotCoveredError(
            "noisy_loss: with matrices for weights, scalar noise is covered where it meets the "
            f"residual alone, as label noise does; got {summand}"
        )
    return r, within


def shared_noise(
    noisy: sp.Expr, objective: TraceObjective, noise: tuple[sp.MatrixSymbol, ...]
) -> MatrixNoise | None:
    """Noise matrices, one per weight, that are added to the weights, or as b⟨E, W⟩; else None.

    Noise of the weights is covered for laws without jumps.
    """
    if [e.shape for e in noise] != [v.shape for v in objective.weights]:
        return None
    pairs = list(zip(objective.weights, noise, strict=True))
    moved = objective.value.xreplace({v: v + e for v, e in pairs})
    loss, shifted = (
        objective.weight * (value - objective.target) ** 2 / 2 for value in (objective.value, moved)
    )
    if in_words(noisy - shifted) == 0:
        return MatrixNoise(sp.S.Zero, objective.weight / 2, sp.S.One, SHIFTED)
    size = sp.Dummy(real=True)
    added = size * sp.Add(*(sp.Trace(e.T * v) for v, e in pairs))
    excess = in_words(noisy - loss - added)
    found = sp.solve(excess, size)
    if found and found[0].is_number and sp.expand(excess.subs(size, found[0])) == 0:
        return MatrixNoise(sp.S.Zero, sp.S.Zero, found[0] ** 2, ADDED, found[0])
    return None


def consistent_sample(
    words: TraceObjective, weights: Mapping[Any, sp.MatrixBase], sizes: Sizes, rng: random.Random
) -> dict[Any, Any]:
    """A random data matrix, with the target that the weights have there."""
    a = random_matrix(shape_of(words.data, sizes), rng)
    value = in_entries(words.value, {**weights, words.data: a})
    unknown = sorted(words.target.free_symbols, key=str)
    if len(unknown) != 1:
        raise NotCoveredError(
            f"loss: expected one symbol for the target of a sample, got {words.target}"
        )
    (y,) = sp.solve(words.target - value, unknown[0])
    return {words.data: a, unknown[0]: y}
