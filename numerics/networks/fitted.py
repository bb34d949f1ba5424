"""Networks of a model, its inputs and its targets, whose samples are checked to be apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from derive import ProblemError

from ..arguments import doubles
from .checks import AGREEMENT
from .mechanisms import Tree
from .network import Network
from .programs import Derivative, Doubles, SampleDerivative

Model = Callable[[Tree, Any], Any]


@dataclass(frozen=True, eq=False, repr=False)
class Fitted(Network):
    """A network whose samples are known to be apart, so that J is made sample by sample.

    Attributes
    ----------
    sample : callable
        The residuals of a sample, an array with the first axis of length 1, at a pytree of
        parameters and its number.
    """

    sample: Callable[[Tree, Any], Any] = field(kw_only=True)

    @cached_property
    def jacobian(self) -> Derivative:
        """The Jacobian J of the residuals, n × N."""
        whole = super().jacobian
        return SampleDerivative(
            whole.action,
            whole.rows,
            whole.columns,
            whole.precision,
            lambda w, i: jnp.ravel(self.sample(self._tree(w), i)),
            self.count // self.samples,
        )


def fitted(model: Model, inputs: Any, targets: ArrayLike, params: Tree, **fields: Any) -> Network:
    """The network whose residuals are what a model misses its targets by.

    Parameters
    ----------
    model : callable
        Outputs, shape (samples, ...), at parameters and inputs; those of a sample depend on its
        inputs alone.
    inputs : array or pytree of arrays
        Samples along their first axes.
    targets : array-like
        What the outputs should be, of their shape.
    params : pytree of floating-point arrays
        As of a `Network`, as are the other fields.

    Raises
    ------
    ProblemError
        If the outputs have another shape than the targets, or those of a sample depend on other
        samples, as they do with batch normalisation in training mode.
    """
    goal = np.asarray(targets)
    _require_shape("targets", goal, model, inputs, params)

    def sample(p: Tree, i: Any) -> Any:
        one = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, i, 1), (inputs, goal))
        return model(p, one[0]) - one[1]

    network = Fitted(lambda p: model(p, inputs) - goal, params, sample=sample, **fields)
    _require_apart(network, model, inputs)
    return network


@dataclass(frozen=True, eq=False)
class CrossEntropy:
    """The mean cross-entropy of classes with given probabilities, by residuals of their logits.

    L = −(1/n) Σ_i Σ_k q_ik log p_ik is least, at the entropy of q and not at zero, where all p = q.
    With K the last class and z_k = log(p_k/p_K), the residuals of a sample are r = Aᵀ(z − z*),
    where A Aᵀ is the covariance diag(q) − qqᵀ of a class drawn from q. Then all c_i are 1/n, and
    H = JᵀCJ is the mean Fisher information of the samples.

    Parameters
    ----------
    probabilities : array-like
        q, of the logits' shape: (samples,), of the second of two classes, or (samples, classes).

    Raises
    ------
    ProblemError
        If a probability is 0 or 1, or those of a sample have another sum than 1.
    """

    probabilities: ArrayLike

    def __post_init__(self) -> None:
        given = doubles("probabilities", self.probabilities)
        if given.ndim not in (1, 2):
            raise ProblemError(
                "probabilities: expected the shape (samples,) or (samples, classes), got "
                f"{given.shape}"
            )
        q = self._q
        if not (q.min() > 0.0 and q.max() < 1.0):
            raise ProblemError(
                f"probabilities: expected numbers strictly between 0 and 1, got {q.min():.3g} to "
                f"{q.max():.3g}; the cross-entropy of certain classes has no finite minimiser, "
                "logits grow without end. Smooth the labels: (1 − ε) y + ε/K for K classes"
            )
        gap = float(np.abs(q.sum(axis=1) - 1.0).max())
        if not gap <= AGREEMENT["float64"]:
            raise ProblemError(
                f"probabilities: expected a sum of 1 for each sample, off by {gap:.3g}"
            )

    @property
    def weight(self) -> float:
        """The c_i."""
        return 1.0 / len(self._q)

    def residuals(self, logits: Any) -> Any:
        """Traced: r, shape (samples, classes − 1), of logits; (samples, 1) of those of two."""
        z = logits[:, None] if logits.ndim == 1 else logits[:, :-1] - logits[:, -1:]
        away = z - self._goal.astype(z.dtype)
        return jnp.einsum("ikr,ik->ir", self._root.astype(z.dtype), away)

    def losses(self, residuals: Any) -> Any:
        """Traced: −(1/n) Σ_k q_ik log p_ik, shape (samples,), of residuals."""
        kind = residuals.dtype
        away = jnp.einsum("ikr,ik->ir", np.linalg.inv(self._root).astype(kind), residuals)
        z = jnp.pad(away + self._goal.astype(kind), ((0, 0), (0, 1)))
        each = jax.nn.logsumexp(z, axis=1) - jnp.sum(self._q.astype(kind) * z, axis=1)
        return each / len(z)

    @cached_property
    def _q(self) -> Doubles:
        given = doubles("probabilities", self.probabilities)
        return given if given.ndim == 2 else np.stack([given, 1.0 - given], axis=1)

    @cached_property
    def _goal(self) -> Doubles:
        """z*, shape (samples, classes − 1)."""
        return np.asarray(np.log(self._q[:, :-1] / self._q[:, -1:]))

    @cached_property
    def _root(self) -> Doubles:
        """A, shape (samples, classes − 1, classes − 1)."""
        q = self._q[:, :-1]
        covariance = np.eye(q.shape[1]) * q[:, :, None] - q[:, :, None] * q[:, None, :]
        return np.asarray(np.linalg.cholesky(covariance))


def classified(
    model: Model, inputs: Any, probabilities: ArrayLike, params: Tree, **fields: Any
) -> Network:
    """The network that is trained to probabilities of classes by their mean cross-entropy.

    Γ is where the model has these probabilities. Smoothed labels are (1 − ε) y + ε/K.

    Parameters
    ----------
    model : callable
        Logits at parameters and inputs: shape (samples,) of the second of two classes against the
        first, or (samples, classes); those of a sample depend on its inputs alone.
    inputs : array or pytree of arrays
        Samples along their first axes.
    probabilities : array-like
        As of a `CrossEntropy`, whose `residuals(logits)` are those of masks or shifted inputs too.
    params : pytree of floating-point arrays
        As of a `Network`, as are the other fields.

    Raises
    ------
    ProblemError
        As for `fitted` and `CrossEntropy`.
    """
    entropy = CrossEntropy(probabilities)
    _require_shape("probabilities", np.asarray(probabilities), model, inputs, params)
    network = Network(
        lambda p: entropy.residuals(model(p, inputs)),
        params,
        weights=entropy.weight,
        losses=entropy.losses,
        **fields,
    )
    _require_apart(network, model, inputs)
    return network


def _require_shape(name: str, goal: Any, model: Model, inputs: Any, params: Tree) -> None:
    with Network.in_precision():
        shape = jax.eval_shape(model, params, inputs).shape
    if shape != goal.shape:
        raise ProblemError(f"{name}: expected the outputs' shape {shape}, got {goal.shape}")


def _require_apart(network: Network, model: Model, inputs: Any) -> None:
    """Raise if the outputs of samples depend on others."""
    with network.in_precision():
        given = network.cast(network.params)
        whole = np.asarray(model(given, inputs))
        half = jax.tree.map(lambda x: x[: (len(whole) + 1) // 2], inputs)
        part = np.asarray(model(given, half))
    gap = float(np.abs(whole[: len(part)] - part).max())
    if not gap <= AGREEMENT[network.precision] * (1.0 + float(np.abs(whole).max())):
        raise ProblemError(
            f"model: the outputs of samples change by {gap:.3g} when others are left out; batch "
            "normalisation in training mode makes them depend on one another: use its running "
            "averages, or a normalisation of each sample, such as layer normalisation"
        )
