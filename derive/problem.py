"""The noise model as the user states it, validated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import sympy as sp

from .calculus import Substitution, gradient, semidefinite_factor
from .errors import ProblemError
from .laws import Gaussian, Independent, Jump, Law, LevyPair, exact
from .penalty import Penalty, split_penalty
from .symbols import ScaleSymbol, alpha, sigma
from .verdict import vanishes_identically


@dataclass(frozen=True)
class Chart:
    """A local parametrisation γ: U ⊂ R^M → Γ.

    Attributes
    ----------
    coordinates : tuple of Symbol
        Intrinsic coordinates θ.
    embedding : tuple of Expr
        The weights as functions of the coordinates, in the order of the weights.
    """

    coordinates: tuple[sp.Symbol, ...]
    embedding: tuple[sp.Expr, ...]


@dataclass(frozen=True)
class NoisyGradientDescent:
    """Noisy gradient descent w_{k+1} = w_k − α ∇_w L̂(w_k, η_k) with L̂(w, 0) = L(w).

    Parameters
    ----------
    loss : Expr
        L(w) ≥ 0, zero on the manifold Γ. Floats are read as the decimals typed.
    noisy_loss : Expr
        L̂(w, η).
    weights, noise : Symbol, sequence of Symbol or column matrix
        w (N symbols) and η (d symbols), declared real.
    law : Law
        Law of η; standard Gaussian scaled by σ if not given.
    constraints : sequence of Expr, optional
        Expressions whose common zero set is Γ near `near`; read off L if not given.
    chart : Chart, mapping or pair (coordinates, embedding), optional
        Parametrisation of Γ, for drift and diffusion in intrinsic coordinates.
    near : mapping or sequence, optional
        A point that picks the component of Γ.
    parameters : sequence of Symbol
        Symbols that stay symbolic until bound by `subs`.
    penalty : Expr, optional
        U(w), such as weight decay, added to L̂ in the recursion: terms of size σ², ασ² or σ⁴,
        written with `derive.alpha` and `derive.sigma`.

    Raises
    ------
    ProblemError
        If the symbols are not as declared or L̂(w, 0) ≠ L(w).

    References
    ----------
    Shalova, Schlichting, Peletier, arXiv 2404.12293, Definition 3.1.
    """

    loss: sp.Expr
    noisy_loss: sp.Expr | None
    weights: tuple[sp.Symbol, ...]
    noise: tuple[sp.Symbol, ...]
    law: Law = field(default_factory=Gaussian)
    constraints: tuple[sp.Expr, ...] | None = None
    chart: Chart | None = None
    near: tuple[sp.Expr, ...] | None = None
    parameters: tuple[sp.Symbol, ...] = ()
    noise_matrix: sp.ImmutableMatrix | None = None
    """G(w), N × d, of a model stated by its gradient noise; Σ(w), N × N, when `noise` is empty."""
    penalty: sp.Expr = sp.S.Zero

    def __post_init__(self) -> None:
        weights = _symbols("weights", self.weights)
        noise = _symbols("noise", self.noise, may_be_empty=self.noise_matrix is not None)
        parameters = _symbols("parameters", self.parameters, may_be_empty=True)
        _refuse_overlap(weights=weights, noise=noise, parameters=parameters)
        normal = {
            "loss": read_expression("loss", self.loss),
            "weights": weights,
            "noise": noise,
            "parameters": parameters,
            "law": _law(self.law, noise),
            "penalty": read_expression("penalty", self.penalty),
        }
        if (self.noisy_loss is None) == (self.noise_matrix is None):
            raise ProblemError(
                "noisy_loss: expected L̂(w, η); a model without L̂ is stated by its gradient "
                "noise, with NoisyGradientDescent.from_gradient_noise"
            )
        if self.noisy_loss is not None:
            normal["noisy_loss"] = read_expression("noisy_loss", self.noisy_loss)
        if self.constraints is not None:
            given = self.constraints
            items = given if isinstance(given, Iterable) else (given,)
            normal["constraints"] = tuple(read_expression("constraints", c) for c in items)
        if self.near is not None:
            normal["near"] = _point("near", self.near, weights)
        if self.chart is not None:
            normal["chart"] = _chart(self.chart, weights, parameters)
        for name, value in normal.items():
            object.__setattr__(self, name, value)
        self._check_symbols()
        self._check_noiseless()

    @classmethod
    def from_gradient_noise(
        cls,
        loss: sp.Expr,
        noise_matrix: Any,
        weights: Any,
        noise: Any = (),
        **options: Any,
    ) -> NoisyGradientDescent:
        """Model ∇L(w) + G(w) η of the stochastic gradient, for which no L̂ need exist.

        Parameters
        ----------
        loss : Expr
            L(w).
        noise_matrix : matrix
            G(w), shape (N, d), with d noise symbols in `noise`; or, with `noise` left out, the
            covariance Σ(w) of the gradient noise in units of σ², shape (N, N).
        weights, noise, **options
            As for `NoisyGradientDescent`.

        Raises
        ------
        ProblemError
            If the shape does not fit, or a covariance is not symmetric positive semi-definite.
        """
        matrix = sp.ImmutableMatrix(noise_matrix).applyfunc(exact)
        n = len(_symbols("weights", weights))
        d = len(_symbols("noise", noise, may_be_empty=True)) or n
        if matrix.shape != (n, d):
            raise ProblemError(
                f"noise_matrix: expected shape {(n, d)} (weights × noise symbols, or weights × "
                f"weights for a covariance without noise symbols), got {matrix.shape}"
            )
        if not _symbols("noise", noise, may_be_empty=True) and semidefinite_factor(matrix) is None:
            raise ProblemError(
                "noise_matrix: the covariance Σ(w) is not symmetric positive semi-definite; "
                "a factor G(w) is given together with its noise symbols"
            )
        return cls(loss, None, weights, noise, noise_matrix=matrix, **options)

    @property
    def dimension(self) -> int:
        """Number N of weights."""
        return len(self.weights)

    @cached_property
    def stochastic_gradient(self) -> tuple[sp.Expr, ...]:
        """∇_w (L̂(w, η) + U(w)), the vector that one step of the recursion subtracts α times.

        A penalty U leaves `derive.alpha` and `derive.sigma` in it, to be bound to the step size
        and the noise scale of the run.

        Raises
        ------
        ProblemError
            For a model that is given by its covariance Σ(w) only.
        """
        if self.noisy_loss is not None:
            return tuple(gradient(self.noisy_loss + self.penalty, self.weights))
        if not self.noise:
            raise ProblemError(
                "noise_matrix: a covariance Σ(w) does not say how to draw the noise; give a "
                "factor G(w) with Σ = G Gᵀ and its noise symbols to simulate the recursion"
            )
        assert self.noise_matrix is not None
        mean = sp.Matrix(gradient(self.loss + self.penalty, self.weights))
        return tuple(mean + self.noise_matrix * sp.Matrix(self.noise))

    @cached_property
    def loss_gradient(self) -> tuple[sp.Expr, ...]:
        """∇L(w)."""
        return tuple(gradient(self.loss, self.weights))

    @cached_property
    def penalties(self) -> Penalty:
        """The penalty by the size of its terms."""
        return split_penalty(self.penalty)

    @cached_property
    def levy_pair(self) -> LevyPair:
        """Lévy pair of the law, in the order of `noise`."""
        dimension = len(self.noise) or self.dimension
        pair = self.law.levy_pair(dimension)
        if not isinstance(self.law, Independent):
            return pair
        order = [self.law.symbols.index(s) for s in self.noise]
        jumps = tuple(Jump(j.displacement.extract(order, [0]), j.rate) for j in pair.jumps)
        return LevyPair(pair.covariance.extract(order, order), jumps)

    def subs(self, values: Mapping[sp.Symbol, Any]) -> NoisyGradientDescent:
        """Bind parameters to numbers.

        Parameters
        ----------
        values : mapping of Symbol to number
            Values of some or all parameters.

        Raises
        ------
        ProblemError
            If a key is not a parameter of this problem.
        """
        stray = set(values) - set(self.parameters)
        if stray:
            raise ProblemError(
                f"subs: {_names(stray)} not among the parameters "
                f"({_names(self.parameters) or 'there are none'})"
            )
        bound = {symbol: exact(value) for symbol, value in values.items()}

        def bind(item: Any) -> Any:
            if isinstance(item, tuple):
                return tuple(bind(entry) for entry in item)
            return None if item is None else item.subs(bound)

        chart = self.chart and Chart(self.chart.coordinates, bind(self.chart.embedding))
        return replace(
            self,
            loss=bind(self.loss),
            noisy_loss=bind(self.noisy_loss),
            law=self.law.subs(bound),
            constraints=bind(self.constraints),
            near=bind(self.near),
            noise_matrix=bind(self.noise_matrix),
            penalty=bind(self.penalty),
            chart=chart,
            parameters=tuple(p for p in self.parameters if p not in bound),
        )

    def _check_symbols(self) -> None:
        known = {
            "loss": (self.loss, {*self.weights, *self.parameters}),
            "noisy_loss": (self.noisy_loss, {*self.weights, *self.noise, *self.parameters}),
            "noise_matrix": (self.noise_matrix, {*self.weights, *self.parameters}),
            "penalty": (self.penalty, {*self.weights, *self.parameters, alpha, sigma}),
        }
        for name, (expression, allowed) in known.items():
            if expression is not None:
                _refuse_stray(name, expression, allowed)
        split_penalty(self.penalty)
        for constraint in self.constraints or ():
            _refuse_stray("constraints", constraint, {*self.weights, *self.parameters})
        for value in self.near or ():
            _refuse_stray("near", value, {*self.parameters})
        _refuse_stray("law", self.levy_pair.covariance, {*self.parameters})
        for jump in self.levy_pair.jumps:
            _refuse_stray("law", jump.displacement, {*self.parameters})
            _refuse_stray("law", jump.rate, {*self.parameters})

    def _check_noiseless(self) -> None:
        if self.noisy_loss is None:
            return
        noiseless = Substitution(dict.fromkeys(self.noise, sp.S.Zero))(self.noisy_loss)
        if noiseless.has(sp.nan, sp.zoo, sp.oo, -sp.oo):
            raise ProblemError("noisy_loss: L̂(w, 0) must equal L(w), but it is not finite")
        difference = noiseless - self.loss
        verdict = vanishes_identically(difference)
        if not verdict:
            raise ProblemError(
                f"noisy_loss: L̂(w, 0) must equal L(w); the difference L̂(w, 0) − L(w) is "
                f"{sp.sstr(sp.expand(difference))}"
                + ("" if verdict.value is False else " and could not be shown to vanish")
            )


def _symbols(name: str, given: Any, may_be_empty: bool = False) -> tuple[sp.Symbol, ...]:
    if isinstance(given, sp.Symbol):
        given = (given,)
    if not isinstance(given, sp.MatrixBase | Sequence) or isinstance(given, str):
        raise ProblemError(f"{name}: expected a symbol or a sequence of symbols, got {given!r}")
    symbols = tuple(given)
    for s in symbols:
        if not isinstance(s, sp.Symbol):
            raise ProblemError(f"{name}: expected symbols, got {s!r} of type {type(s).__name__}")
        if isinstance(s, ScaleSymbol):
            raise ProblemError(
                f"{name}: derive.{s} is reserved for the scales; use a symbol of yours"
            )
        if s.is_real is not True:
            raise ProblemError(
                f"{name}: the symbol {s} is not declared real; write sp.symbols('{s}', real=True)"
            )
    if not symbols and not may_be_empty:
        raise ProblemError(f"{name}: expected at least one symbol, got none")
    doubled = {str(s) for s, count in Counter(symbols).items() if count > 1}
    if doubled:
        raise ProblemError(f"{name}: {', '.join(sorted(doubled))} given more than once")
    return symbols


def _refuse_overlap(**groups: tuple[sp.Symbol, ...]) -> None:
    names = list(groups)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            common = set(groups[first]) & set(groups[second])
            if common:
                raise ProblemError(
                    f"{first} and {second} share {_names(common)}; a symbol has one role"
                )


def _refuse_stray(name: str, expression: Any, allowed: set[sp.Symbol]) -> None:
    stray = expression.free_symbols - allowed
    if not stray:
        return
    twins = {str(s) for s in stray} & {str(s) for s in allowed}
    hint = (
        f"; a symbol of that name with other assumptions is declared, but sympy tells "
        f"Symbol('{min(twins)}') and Symbol('{min(twins)}', real=True) apart: use one object"
        if twins
        else "; declare it in `parameters` or bind it to a number"
    )
    raise ProblemError(
        f"{name}: {_names(stray)} is neither a weight, a noise symbol nor a parameter{hint}"
    )


def _names(symbols: Iterable[sp.Symbol]) -> str:
    return ", ".join(sorted(str(s) for s in symbols))


def read_expression(name: str, given: Any) -> sp.Expr:
    """A finite scalar expression with exact numbers; a `ProblemError` names the argument."""
    try:
        expression = exact(given)
    except (sp.SympifyError, TypeError, AttributeError) as error:
        raise ProblemError(f"{name}: expected a sympy expression, got {given!r}") from error
    if not isinstance(expression, sp.Expr) or expression.is_Matrix:
        raise ProblemError(f"{name}: expected a scalar sympy expression, got {given!r}")
    if expression.has(sp.nan, sp.zoo, sp.oo):
        raise ProblemError(f"{name}: {expression} is not finite")
    return expression


def _point(name: str, given: Any, weights: tuple[sp.Symbol, ...]) -> tuple[sp.Expr, ...]:
    if isinstance(given, Mapping):
        missing = set(weights) ^ set(given)
        if missing:
            raise ProblemError(f"{name}: expected a value for each weight; check {_names(missing)}")
        given = [given[w] for w in weights]
    elif not isinstance(given, Iterable):
        raise ProblemError(f"{name}: expected {len(weights)} coordinates, got {given!r}")
    point = tuple(read_expression(name, value) for value in given)
    if len(point) != len(weights):
        raise ProblemError(f"{name}: expected {len(weights)} coordinates, got {len(point)}")
    return point


def _chart(given: Any, weights: tuple[sp.Symbol, ...], parameters: tuple[sp.Symbol, ...]) -> Chart:
    if isinstance(given, Chart):
        coordinates, embedding = given.coordinates, given.embedding
    elif isinstance(given, Mapping):
        embedding = _point("chart", given, weights)
        free = set().union(*(e.free_symbols for e in embedding)) - set(parameters)
        coordinates = tuple(sorted(free, key=str))
    else:
        try:
            coordinates, embedding = given
        except (TypeError, ValueError) as error:
            raise ProblemError(
                f"chart: expected a pair (coordinates, embedding), got {given!r}"
            ) from error
    coordinates = _symbols("chart", coordinates)
    embedding = _point("chart", embedding, weights)
    _refuse_overlap(weights=weights, chart=coordinates)
    for entry in embedding:
        _refuse_stray("chart", entry, {*coordinates, *parameters})
    return Chart(coordinates, embedding)


def _law(law: Any, noise: tuple[sp.Symbol, ...]) -> Law:
    if not isinstance(law, Law):
        raise ProblemError(f"law: expected a Law such as Gaussian(), got {law!r}")
    if isinstance(law, Independent) and set(law.symbols) != set(noise):
        raise ProblemError(
            f"law: the groups hold {_names(law.symbols)}, the noise is {_names(noise)}; "
            "every noise symbol belongs to exactly one group"
        )
    return law
