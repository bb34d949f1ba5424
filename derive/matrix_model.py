"""Models with matrices for weights, and their limit under label noise, for every dimension at once.

A model h(A; W) = ⟨A, F(W)⟩ is linear in its data matrix A and a polynomial in weight matrices W:
matrix sensing h = tr(A U Uᵀ), deep linear networks h = tr(A W₃ W₂ W₁). With label noise,

    L̂ = (1/n) Σ_i (h(A_i; W) − y_i − η_i)²,

the outcome is always the same (Reg is constant on Γ, Σ = (2/n)H): a deterministic limit
dW/dt = −(1/n) P∇reg in time t = kα²σ², with reg = (1/n) Σ_i ‖∂h/∂W(A_i; W)‖². What depends on
the model is the gradient of reg and the projector, and both are derived here in matrix notation.

References
----------
Blanc, Gupta, Valiant, Valiant, COLT 2020, Theorem 2; Shalova, Schlichting, Peletier,
arXiv 2404.12293, Theorem B.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp

from .errors import ProblemError
from .model.trace_polynomials import (
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
from .symbols import alpha, sigma


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
class MatrixModel:
    """A scalar model, linear in one data matrix, with matrices for weights.

    Attributes
    ----------
    value : Expr
        h(A; W): a sum of traces of products, or a 1 × 1 product.
    weights : MatrixSymbol or sequence of MatrixSymbol
        W, of given or symbolic dimensions.
    data : MatrixSymbol
        A, which stands once in every term.

    Raises
    ------
    ProblemError
        If the value is no such polynomial, or holds a matrix that is neither weight nor data.
    """

    value: sp.Expr
    weights: Sequence[sp.MatrixSymbol]
    data: sp.MatrixSymbol

    def __post_init__(self) -> None:
        weights = self.weights
        given = (weights,) if isinstance(weights, sp.MatrixSymbol) else tuple(weights)
        object.__setattr__(self, "weights", given)
        known = {*given, self.data}
        for word in self.traces:
            stray = sorted({symbol.name for symbol, _ in word if symbol not in known})
            if stray:
                raise ProblemError(
                    f"value: {', '.join(stray)} is neither among the weights nor the data; "
                    "list it, or absorb it in the data matrix"
                )
            if len(word) < 2 or sum(symbol == self.data for symbol, _ in word) != 1:
                raise ProblemError(
                    f"value: the term {sp.Trace(product_of(word))} is not linear in the data "
                    f"{self.data.name} and in the weights; choose the data matrix so that it "
                    "stands once in every term (for a quadratic model x xᵀ is the data), beside a "
                    "weight"
                )

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
    def squared_gradient_slopes(self) -> tuple[Polynomial, ...]:
        """∂/∂V of `squared_gradient` for every weight V in order."""
        return tuple(trace_gradient(self.squared_gradient, v) for v in self.weights)


@dataclass(frozen=True)
class MatrixLimit:
    """The limit of a matrix model under label noise: dW/dt = −(1/n) P∇reg on Γ.

    Attributes
    ----------
    model : MatrixModel
    samples : Expr
        n, as it is printed.
    """

    model: MatrixModel
    samples: sp.Expr

    @property
    def time_scale(self) -> sp.Expr:
        """Iterations per unit of slow time."""
        return 1 / (alpha**2 * sigma**2)

    @cached_property
    def gradients(self) -> tuple[sp.MatrixExpr, ...]:
        """∂h/∂V at one sample, for every weight V in order."""
        pairs = zip(self.model.weights, self.model.gradients, strict=True)
        return tuple(as_matrix(gradient, v.shape) for v, gradient in pairs)

    @cached_property
    def regularizer(self) -> sp.Expr:
        """The regularizer ⟨Σ_V ‖∂h/∂V‖²⟩, a sum of traces with means over the samples."""
        groups: defaultdict[Word, Polynomial] = defaultdict(dict)
        for word, c in self.model.squared_gradient.items():
            inner, rest = self._cut_cycle(word)
            groups[rest][inner] = c
        terms = []
        for rest, average in groups.items():
            number, mean = _mean(average)
            matrix = sp.MatMul(mean, product_of(rest)).doit(deep=False) if rest else mean
            terms.append(number * sp.Trace(matrix))
        return sp.Add(*terms)

    @cached_property
    def regularizer_gradients(self) -> tuple[sp.MatrixExpr, ...]:
        """∇_V reg for every weight V in order, with means over the samples."""
        pairs = zip(self.model.weights, self.model.squared_gradient_slopes, strict=True)
        return tuple(self._averaged(slope, v.shape) for v, slope in pairs)

    @property
    def statements(self) -> tuple[tuple[str, str, sp.Basic], ...]:
        """What is printed: left-hand sides as text and as LaTeX, and their values."""
        model = self.model
        shape = model.data.shape
        names = [v.name for v in model.weights]
        return (
            ("h(A; W)", "h(A; W)", model.value),
            *(
                (f"∂h/∂{name}", rf"\partial h/\partial {name}", gradient)
                for name, gradient in zip(names, self.gradients, strict=True)
            ),
            ("reg", r"\mathrm{reg}", self.regularizer),
            *(
                (f"∇_{name} reg", rf"\nabla_{{{name}}}\,\mathrm{{reg}}", slope)
                for name, slope in zip(names, self.regularizer_gradients, strict=True)
            ),
            ("F(W)", "F(W)", as_matrix(model.features, shape)),
            ("DF(W)[dW]", "DF(W)[dW]", as_matrix(model.features_along, shape)),
        )

    def latex(self) -> str:
        """The model, reg, its gradient, the Jacobian and the limit as LaTeX."""
        lines = [f"{left} &= {sp.latex(value)}" for _, left, value in self.statements]
        n = sp.latex(self.samples)
        lines += [
            r"(J\,dW)_i &= \langle A_i, DF(W)[dW] \rangle",
            r"J^\top c &= \partial h/\partial W\,(\textstyle\sum_i c_i A_i; W)",
            r"P &= 1 - J^\top (J J^\top)^{-1} J",
            rf"\frac{{dW}}{{dt}} &= -\frac{{1}}{{{n}}} P \nabla \mathrm{{reg}}(W), "
            r"\quad t = k \alpha^2 \sigma^2",
        ]
        return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __str__(self) -> str:
        lines = [f"{left} = {value}" for left, _, value in self.statements]
        lines += [
            "(J dW)_i = ⟨A_i, DF(W)[dW]⟩,  Jᵀc = ∂h/∂W(Σ c_i A_i; W),  P = 1 − Jᵀ(J Jᵀ)⁻¹J",
            f"dW/dt = −(1/{self.samples}) P∇reg(W),  t = k α² σ²  (⟨·⟩: mean over the samples)",
        ]
        return "\n".join(lines)

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
        first, last = (i for i, (symbol, _) in enumerate(word) if symbol == self.model.data)
        return first, last


def derive_matrix_limit(model: MatrixModel, samples: Any = None) -> MatrixLimit:
    """Derive the limit of a matrix model under label noise.

    Parameters
    ----------
    model : MatrixModel
    samples : int or Expr, optional
        n; the symbol n by default.

    Returns
    -------
    MatrixLimit
        Valid where J has constant rank along Γ; `numerics.simulation.matrix_flow` follows the
        smallest positive eigenvalue of H and says when it collapses.
    """
    n = sp.Symbol("n", positive=True, integer=True) if samples is None else sp.sympify(samples)
    return MatrixLimit(model, n)


def _mean(inner: Polynomial) -> tuple[sp.Expr, SampleMean]:
    """A common numerical factor, and the mean of the rest."""
    coefficients = list(inner.values())
    common = coefficients[0] if len(set(coefficients)) == 1 else sp.Integer(1)
    terms = [sp.MatMul(c / common, product_of(word)).doit() for word, c in inner.items()]
    return common, SampleMean(sp.MatAdd(*terms).doit())
