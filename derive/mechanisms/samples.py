"""Reading what a noise mechanism is made of: a model h(x; w), its data, its noise symbols."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import sympy as sp

from ..errors import ProblemError
from ..reading import read_expression, read_symbols, sequence
from ..symbolic.calculus import Substitution
from .losses import squared


def squared_loss(
    model: sp.Expr, inputs: Any, data: Any, targets: Any, *, half: bool = False
) -> sp.Expr:
    """L = (1/n) Σ_i (h(x_i; w) − y_i)², or half of it.

    Parameters
    ----------
    model : Expr
        h(x; w).
    inputs : Symbol or sequence of Symbol
        The input x of the model, D symbols.
    data : sequence
        n inputs x_i with D entries each (or n numbers when D = 1); numbers or expressions in
        symbols that are declared under `parameters`.
    targets : sequence
        n targets y_i, numbers or expressions.
    half : bool
        Whether to take (1/2n) Σ_i.

    Raises
    ------
    ProblemError
        If the shapes of model, data and targets do not fit.
    """
    pairs = predictions(model, inputs, data, targets)
    return mean([squared(h, y) for h, y in pairs], half)


def mean(losses: Sequence[sp.Expr], half: bool = False) -> sp.Expr:
    """(1/n) Σ_i ℓ_i, or half of it."""
    return sp.Add(*losses) / (2 * len(losses) if half else len(losses))


def predictions(
    model: sp.Expr, inputs: Any, data: Any, targets: Any
) -> list[tuple[sp.Expr, sp.Expr]]:
    """h(x_i; w) with y_i, one pair per sample."""
    model, inputs = read_expression("model", model), sequence(inputs, "inputs")
    symbols = {x for x in inputs if isinstance(x, sp.Symbol)} & model.free_symbols
    if len(symbols) != len(inputs):
        missing = [str(x) for x in inputs if not isinstance(x, sp.Symbol) or x not in symbols]
        raise ProblemError(
            f"inputs: {', '.join(missing)} does not occur in the model; use the symbols that the "
            "model is written in"
        )
    rows = samples(inputs, data)
    labels = [read_expression("targets", y) for y in sequence(targets, "targets")]
    if len(labels) != len(rows):
        raise ProblemError(f"targets: expected {len(rows)}, one per sample, got {len(labels)}")
    return [
        (Substitution(dict(zip(inputs, row, strict=True)))(model), y)
        for row, y in zip(rows, labels, strict=True)
    ]


def samples(inputs: Sequence[sp.Symbol], data: Any) -> list[tuple[sp.Expr, ...]]:
    """The inputs x_i, each with one entry for each input symbol."""
    rows = data.tolist() if isinstance(data, sp.MatrixBase) else sequence(data, "data")
    read = [tuple(read_expression("data", x) for x in sequence(row, "data")) for row in rows]
    wrong = next((row for row in read if len(row) != len(inputs)), None)
    if wrong is not None or not read:
        got = "no sample" if wrong is None else f"one with {len(wrong)} entries"
        raise ProblemError(
            f"data: expected samples of {len(inputs)} entries, as many as `inputs`; got {got}"
        )
    return read


def multiplied(model: sp.Expr, units: Sequence[sp.Expr], noise: Sequence[sp.Symbol]) -> sp.Expr:
    """The model with each unit times its 1 + η."""
    # Outer units first: one unit may be a part of another.
    for unit, eta in sorted(zip(units, noise, strict=True), key=lambda pair: -pair[0].count_ops()):
        noisy = model.subs(unit, (1 + eta) * unit)
        if noisy == model:
            raise ProblemError(f"units: {unit} does not occur in the model as it stands there")
        model = noisy
    return model


def noise_symbols(given: Any, count: int, used: Iterable[sp.Expr]) -> tuple[sp.Symbol, ...]:
    """The noise symbols given, or new ones with names that are not in use."""
    if given is None:
        return fresh_symbols(count, {s.name for e in used for s in e.free_symbols})
    noise = read_symbols("noise", given)
    if len(noise) != count:
        raise ProblemError(f"noise: expected {count} symbols, got {len(noise)}")
    return noise


def fresh_symbols(count: int, taken: set[str]) -> tuple[sp.Symbol, ...]:
    """Symbols eta1, eta2, … but for the names that are taken."""
    numbered = (f"eta{number}" for number in itertools.count(1))
    free = (name for name in numbered if name not in taken)
    return tuple(sp.Symbol(name, real=True) for name in itertools.islice(free, count))
