"""Limits of networks against the symbolic engine, brute force, and wrong statements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sympy as sp

jax = pytest.importorskip("jax")
jnp = jax.numpy

from derive import Gaussian, Outcome, derive_limit  # noqa: E402
from numerics import compile_limit  # noqa: E402
from numerics.networks import (  # noqa: E402
    HeavyBall,
    Network,
    additive_noise,
    dropconnect,
    input_noise,
    label_noise,
    noisy_loss,
    parameter_noise,
)
from tests.truth import catalogue  # noqa: E402
from tests.truth.catalogue import Entry  # noqa: E402

EXACT = 1e-10
"""Both sides evaluate the same formula in double precision; Γ, of condition up to 10³, is found
by each to round-off."""

RING = catalogue.RADIUS - 1
UNEVEN = RING * sp.sqrt((2 + catalogue.w1) / 2)
ROUND = RING / sp.sqrt(2)
RESIDUALS: dict[str, Sequence[sp.Expr]] = {
    "parameter noise on the uneven ring": [UNEVEN],
    "correlated parameter noise on the uneven ring": [UNEVEN],
    "parameter noise on the round ring": [ROUND],
    "Gaussian DropConnect on the round ring": [ROUND],
    "Bernoulli DropConnect on the round ring": [ROUND],
    "scalar multiplicative noise": [UNEVEN],
    "linear scalar noise on the uneven ring": [UNEVEN],
    "normal second moment on the round ring": [ROUND],
    "uneven normal second moment on the round ring": [ROUND / sp.sqrt(2)],
    "noise through the second chaos only": [UNEVEN],
    "Gaussian DropConnect on the hyperbola": [catalogue.w1 * catalogue.w2 - 1],
    "Bernoulli DropConnect on the hyperbola": [catalogue.w1 * catalogue.w2 - 1],
    "label noise on a diagonal net": catalogue.MISFITS,
    "label noise on a diagonal net, a sample too many": [
        r * sp.sqrt(sp.Rational(2, 3)) for r in catalogue.MORE_MISFITS
    ],
    "Gaussian dropout of two neurons": [r / sp.sqrt(2) for r in catalogue.PAIR_MISFITS],
    "Bernoulli dropout of two neurons": [r / sp.sqrt(2) for r in catalogue.PAIR_MISFITS],
    "input noise on a neuron with bias": [catalogue.BIASED - catalogue.HALF],
    "additive noise on an ellipse": catalogue.ELLIPSE,
    "additive noise on a surface": catalogue.EGG,
    "additive noise on a twisted cubic": catalogue.CUBIC,
    "correlated additive noise on a twisted cubic": catalogue.CUBIC,
}
"""Residuals with L = ½ Σ r² of the models of the catalogue."""

ENTRIES = [entry for entry in catalogue.CATALOGUE if entry.name in RESIDUALS]


def traced(expressions: Sequence[sp.Expr], *arguments: Sequence[sp.Symbol]) -> Callable[..., Any]:
    function = sp.lambdify([list(a) for a in arguments], list(expressions), modules="jax")
    return lambda *given: jnp.stack([jnp.asarray(x) for x in function(*given)])


def network_of(entry: Entry, point: Any) -> Network:
    """The catalogue's L̂ as a function, at a point near Γ."""
    problem = entry.problem
    law, noise = problem.law, problem.noise
    noisy = traced([problem.noisy_loss], problem.weights, noise)
    factor = np.eye(len(noise))
    if isinstance(law, Gaussian) and law.covariance is not None:
        values, vectors = np.linalg.eigh(np.array(law.covariance, dtype=float))
        law, factor = Gaussian(), vectors * np.sqrt(np.abs(values))
    return Network(
        traced(RESIDUALS[entry.name], problem.weights),
        np.asarray(point, dtype=float),
        noisy_loss(lambda w, eta: noisy(w, factor @ eta)[0], np.zeros(len(noise)), law),
        weights=1.0,
    )


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_network_limit_equals_the_symbolic_limit(entry: Entry) -> None:
    symbolic = derive_limit(entry.problem)
    compiled = compile_limit(symbolic)
    at_step = compile_limit(symbolic.at_step(entry.alpha))
    points = [compiled.retract(np.array([p], dtype=float))[0] for p in entry.guesses]
    limit = derive_limit(network_of(entry, points[0]))
    assert limit.outcome.value == entry.outcome
    assert limit.time_scale == symbolic.time_scale
    stepped = limit.at_step(entry.alpha)
    for w in points:
        projected = compiled.projector(w[None])[0]
        size = 1.0 + abs(np.linalg.norm(compiled.spectrum(w[None])))
        assert limit.regularizer(w) == pytest.approx(float(compiled.regularizer(w)), abs=EXACT)
        for found, expected in ((limit, compiled), (stepped, at_step)):
            tangential = projected @ expected.drift(w[None])[0]
            np.testing.assert_allclose(found.drift(w), tangential, rtol=0, atol=EXACT * size)
        if limit.outcome is Outcome.DIFFUSIVE:
            s = compiled.diffusion(w[None])[0]
            kicks = limit.diffusion(w)
            d = limit.problem.noise_size
            columns = np.stack([kicks(e) for e in np.eye(d)], axis=1)
            np.testing.assert_allclose(columns @ columns.T, s @ s.T, rtol=0, atol=EXACT * size)
