"""Where the noise enters a network: functions that make the noisy residuals, or the noisy loss.

A mechanism is a function of the residuals r(params) and of the parameters that returns a `Noise`;
nothing else of a network knows what kind of noise it has.

References
----------
[1] Shalova, Schlichting, Peletier, arXiv 2404.12293.
[2] Blanc, Gupta, Valiant, Valiant, COLT 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from derive import Bernoulli, Gaussian, NotCoveredError, ProblemError, Rademacher, Uniform
from derive.laws.law import Law

Tree = Any
"""A pytree of arrays."""

Residuals = Callable[[Tree], Any]
NORMAL, DROPPED = Gaussian(), Bernoulli()
LAWS = (Gaussian, Rademacher, Uniform, Bernoulli)


@dataclass(frozen=True)
class Noise:
    """Noise of a network, drawn afresh in each step.

    Attributes
    ----------
    name : str
        What it is called where results are printed.
    example : pytree of arrays
        The shapes of one draw η.
    law : Law
        Law of every coordinate of η: Gaussian, Rademacher, Uniform or Bernoulli.
    residuals : callable or None
        r̂(params, η) with r̂(params, 0) = r(params), where L̂ = ½ Σ c_i r̂_i².
    loss : callable or None
        L̂(params, η), where it is not of that form.
    additive : bool
        Whether L̂ = L + η·w, which has no use for a function.
    on_labels : bool
        Whether it is that of labels: of losses of its own a network then makes
        L̂ = L − Σ c_i (η_i r_i − ½η_i²), which for squares is ½ Σ c_i r̂_i² with r̂ = r − η.
    """

    name: str
    example: Tree
    law: Law = NORMAL
    residuals: Callable[[Tree, Tree], Any] | None = None
    loss: Callable[[Tree, Tree], Any] | None = None
    additive: bool = False
    on_labels: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.law, LAWS) or getattr(self.law, "covariance", None) is not None:
            raise NotCoveredError(
                f"law: expected Gaussian(), Rademacher(), Uniform() or Bernoulli() for the noise "
                f"of a network, got {self.law!r}; correlations belong into the function that "
                "takes the noise"
            )

    @property
    def jumps(self) -> bool:
        """Whether the law is that of rare jumps, η = −e_a."""
        return isinstance(self.law, Bernoulli)


Mechanism = Callable[[Residuals, Tree], Noise]


def label_noise(law: Law = NORMAL) -> Mechanism:
    """Noise on the labels: r̂ = r − η, one noise coordinate per residual.

    Reg is constant on Γ and the limit deterministic: with c_i = 2/n the drift −(1/2n) P∇ΔL [2].
    Under the cross-entropy of a `classified` network the labels are q + η, where σ = 1 is the
    covariance of labels drawn from the probabilities q: drift −(1/4n) P∇ΔL.
    """

    def noise(residuals: Residuals, params: Tree) -> Noise:
        shape = jax.eval_shape(residuals, params)
        return Noise(
            "label noise",
            jnp.zeros(shape.shape),
            law,
            lambda p, eta: residuals(p) - eta,
            on_labels=True,
        )

    return noise


def parameter_noise(law: Law = NORMAL, leaves: Callable[[str], bool] | None = None) -> Mechanism:
    """Noise on the parameters: L̂ = L(w + η), Reg = ½ ΔL, or the part of chosen leaves in it [1].

    Parameters
    ----------
    law : Law
        Law of the noise.
    leaves : callable, optional
        Whether the leaf of that path (as `jax.tree_util.keystr` writes it) is perturbed; all if
        not given.
    """
    return _on_leaves("parameter noise", law, leaves, lambda x, eta: x + eta)


def dropconnect(law: Law = NORMAL, leaves: Callable[[str], bool] | None = None) -> Mechanism:
    """Multiplicative noise on the parameters: L̂ = L(w ⊙ (1 + η)), Reg = ½ Σ_i w_i² ∂_i²L [1].

    With `law=Bernoulli()` weights are dropped, and Reg = Σ_i L(w with w_i = 0) on Γ. Arguments as
    for `parameter_noise`.
    """
    return _on_leaves("DropConnect", law, leaves, lambda x, eta: x * (1.0 + eta))


def dropout(residuals: Callable[[Tree, Tree], Any], masks: Tree, law: Law = DROPPED) -> Mechanism:
    """Masks given to the function: r̂ = residuals(params, 1 + η).

    Under squared loss, for masks in which the residuals are affine, Reg = ½ Σ_i c_i Σ_a (∂_a r̂_i)²
    for a shrinking law and for the Bernoulli law alike [1].

    Parameters
    ----------
    residuals : callable
        Residuals at (params, masks); masks of ones give those without noise.
    masks : pytree of arrays
        Of the masks' shapes: (units,) for masks that all samples share, (samples, units) else.
    law : Law
        With Bernoulli() a unit is zeroed with probability p = σ²/(1 + σ²), else scaled by
        1/(1 − p).
    """

    def noise(_: Residuals, params: Tree) -> Noise:
        example = jax.tree.map(jnp.zeros_like, masks)

        def masked(p: Tree, eta: Tree) -> Any:
            return residuals(p, jax.tree.map(lambda x: 1.0 + x, eta))

        return Noise("dropout", example, law, masked)

    return noise


def noisy_residuals(
    residuals: Callable[[Tree, Tree], Any],
    example: Tree,
    law: Law = NORMAL,
    name: str = "noisy residuals",
) -> Mechanism:
    """Noise that enters the residuals in any way: r̂ = residuals(params, η).

    Parameters
    ----------
    residuals : callable
        Residuals at (params, η), those without noise at η = 0.
    example : pytree of arrays
        Of the shapes of one draw η.
    law : Law
        Law of the noise.
    name : str
        What it is called where results are printed.
    """
    return lambda _, params: Noise(name, jax.tree.map(jnp.zeros_like, example), law, residuals)


def input_noise(
    residuals: Callable[[Tree, Tree], Any], example: Tree, law: Law = NORMAL
) -> Mechanism:
    """Noise on the inputs: r̂ = residuals(params, shifts of the inputs).

    Reg = ½ Σ_i c_i |∇_x h_i|² on Γ [1]. Arguments as for `noisy_residuals`.
    """
    return noisy_residuals(residuals, example, law, "input noise")


def additive_noise(law: Law = NORMAL) -> Mechanism:
    """Additive gradient noise: L̂ = L + η·w, diffusive; Brownian motion on Γ with −¼ P∇ log det₊H.

    The law does not matter to the limit as long as it shrinks.
    """
    if isinstance(law, Bernoulli):
        raise NotCoveredError(
            "law: a Bernoulli law on additive noise is Poisson noise on the gradient, of which "
            "N rare jumps would have to be followed; take Gaussian()"
        )
    return lambda _, params: Noise(
        "additive noise", jax.tree.map(jnp.zeros_like, params), law, additive=True
    )


def noisy_loss(
    loss: Callable[[Tree, Tree], Any], example: Tree, law: Law = NORMAL, name: str = "noisy loss"
) -> Mechanism:
    """Any L̂(params, η) with L̂(params, 0) = ½ Σ c_i r_i²; Γ is still that of the residuals.

    Parameters
    ----------
    loss : callable
        L̂ at (params, η), a number.
    example, law, name
        As for `noisy_residuals`.
    """
    return lambda _, params: Noise(name, jax.tree.map(jnp.zeros_like, example), law, loss=loss)


def _on_leaves(
    name: str,
    law: Law,
    leaves: Callable[[str], bool] | None,
    perturbed: Callable[[Any, Any], Any],
) -> Mechanism:
    """Noise on some leaves of the parameters, by their paths."""

    def noise(residuals: Residuals, params: Tree) -> Noise:
        flat, structure = jax.tree_util.tree_flatten_with_path(params)
        names = [jax.tree_util.keystr(path) for path, _ in flat]
        chosen = [leaves is None or leaves(path) for path in names]
        if not any(chosen):
            raise ProblemError(f"leaves: no leaf is chosen of {', '.join(names)}")
        example = [jnp.zeros_like(x) for (_, x), taken in zip(flat, chosen, strict=True) if taken]

        def noisy(p: Tree, eta: Tree) -> Any:
            left = iter(eta)
            moved = [
                perturbed(x, next(left)) if taken else x
                for x, taken in zip(jax.tree.leaves(p), chosen, strict=True)
            ]
            return residuals(jax.tree.unflatten(structure, moved))

        return Noise(name, example, law, noisy)

    return noise
