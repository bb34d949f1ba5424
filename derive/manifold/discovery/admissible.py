"""Values of parameters at which a problem makes sense."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import mpmath
import sympy as sp

from ...errors import ProblemError
from ...laws.covariance import square_root
from ...model.problem import NoisyGradientDescent
from ...reading import names

TRIES = 100

SIZES = (1, sp.Rational(1, 2), 4, sp.Rational(1, 8), 16)
"""Factors of the values that are tried in turn, each with fractions and with whole numbers."""

Values = dict[sp.Symbol, sp.Rational]


def admissible_values(problem: NoisyGradientDescent, rng: random.Random) -> list[Any]:
    """Generic values of the parameters that the model allows.

    They respect the assumptions of the symbols; the covariance of the noise is positive
    semi-definite there, a batch is not larger than the samples, and what depends on the parameters
    alone is real and finite.

    Raises
    ------
    ProblemError
        If none are found.
    """
    if not problem.parameters:
        return []
    alone = _parts_of_parameters(problem)
    kinds = itertools.cycle(itertools.product(SIZES, (False, True)))
    for size, whole in itertools.islice(kinds, TRIES):
        values = {s: _value(s, rng, size, whole) for s in problem.parameters}
        if _is_allowed(problem, values) and all(_is_generic(part, values) for part in alone):
            return [mpmath.mpf(x.p) / x.q for x in values.values()]
    raise ProblemError(
        f"parameters: no values of {names(problem.parameters)} were found at which the covariance "
        "is positive semi-definite and the losses are real; bind them to numbers with subs()"
    )


def _value(s: sp.Symbol, rng: random.Random, size: sp.Rational, whole: bool) -> sp.Rational:
    if s.is_integer or whole:
        value = sp.Integer(rng.randint(1, rng.randint(2, 9)))  # small ones more often
    else:
        value = size * sp.Rational(rng.randint(400, 1600), 1009)
    if s.is_nonpositive:
        return -value
    return value if s.is_nonnegative or rng.random() < 0.7 else -value


def _is_allowed(problem: NoisyGradientDescent, values: Values) -> bool:
    """Whether the law exists at the values; its own checks say so."""
    try:
        problem.law.subs(values)
    except ProblemError:
        return False
    return True


def _is_generic(part: sp.Expr, values: Values) -> bool:
    """Whether a part has a real value; zero is exceptional, such as the noise of a full batch."""
    value = part.subs(values)
    return bool(value.is_real and value.is_finite and value.is_zero is False)


def _parts_of_parameters(problem: NoisyGradientDescent) -> list[sp.Expr]:
    """The largest parts of the model that depend on parameters alone, such as √(1 − 4ρ²)."""
    parameters = set(problem.parameters)
    seen: set[sp.Basic] = set()

    def search(e: sp.Basic) -> Iterator[sp.Expr]:
        if e in seen or not e.free_symbols & parameters:
            return
        seen.add(e)
        if isinstance(e, sp.Expr) and not e.is_Symbol and e.free_symbols <= parameters:
            yield e
            return
        for part in e.args:
            yield from search(part)

    stated = [problem.loss, problem.noisy_loss, problem.penalty]
    stated += [] if problem.noise_matrix is None else problem.noise_matrix.flat()
    stated += square_root(problem.levy_pair.covariance).flat()
    return [part for item in stated if item is not None for part in search(item)]
