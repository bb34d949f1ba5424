"""A network with its noise: what is asked of a JAX program, checked before anything is derived."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Real
from typing import Any, TypeVar, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy.typing import ArrayLike

from derive import NoisyGradientDescent, ProblemError

from ..arguments import check_counts, doubles
from ..errors import ArgumentError
from .checks import (
    check_equal,
    check_finite,
    check_leaves,
    check_losses,
    check_metric,
    check_output,
)
from .kinks import cell, kinks
from .mechanisms import Mechanism, Noise, Tree
from .optimizers import GradientDescent
from .programs import Compiled, Derivative, Doubles, Metric, Precision
from .refusals import refuses

Made = TypeVar("Made")


@refuses(NoisyGradientDescent)
@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """Noisy training of a network: L = ½ Σ c_i r_i(params)², with noise in it.

    Γ is the set on which all residuals vanish. The weights in what follows, w of shape (N,), are
    the parameters laid end to end in the order of `jax.tree.leaves`. JAX is set to double
    precision for each call alone; evaluate functions of your own `with network.in_precision()`.

    Attributes
    ----------
    residuals : callable
        r at a pytree of parameters, an array of any shape whose first axis counts samples. A
        function of its argument alone (data closed over), which JAX can differentiate.
    params : pytree of floating-point arrays
        A point of Γ; `train` finds one.
    mechanism : callable, optional
        How the noise enters, one of `numerics.networks.mechanisms`; none if not given.
    weights : float or array-like of the residuals' shape, optional
        The c_i > 0; 2/n for n residuals if not given, so that L is the mean of their squares.
    losses : callable, optional
        The losses of the samples, an array of shape (samples,), at residuals, in place of
        ½ Σ c_i r_i²: with their minima where all residuals vanish, and the second derivatives c_i
        there. `classified` makes those of a cross-entropy. The limit, which lives on Γ, differs
        from that of the squares for rare jumps alone; training does.
    batch_size : int, optional
        Samples in a batch, drawn anew in each step beside the noise; all if not given. The
        residuals of a sample are then those of the sample alone; batch normalisation in training
        mode makes them depend on the others, which `fitted` sees and this function cannot.
    replacement : bool
        Whether a sample may be drawn more than once into a batch.
    optimizer : GradientDescent, HeavyBall, Nesterov, SharpnessAware or Preconditioned
        The update rule.
    precision : {"float64", "float32"}
        In which the network is evaluated; linear algebra of n × n is in double precision.
    probes : int, optional
        Random probes to estimate traces with, beside conjugate gradients, where n is more than
        about a thousand; without, everything is exact, by matrices of n × n.
    seed : int
        Seed of the probes.
    memory : int
        Bytes that the Jacobian (n × N) may take; beyond, it is made in blocks each time.

    Raises
    ------
    ProblemError
        If the function does not return an array, a leaf is not of floating point, the noisy
        residuals without noise are other residuals, or a field is out of its range.
    """

    residuals: Callable[[Tree], Any]
    params: Tree
    mechanism: Mechanism | None = None
    weights: ArrayLike | None = None
    losses: Callable[[Any], Any] | None = None
    batch_size: int | None = None
    replacement: bool = False
    optimizer: GradientDescent = field(default_factory=GradientDescent)
    precision: Precision = "float64"
    probes: int | None = None
    seed: int = 0
    memory: int = 2**31

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise ProblemError(
                f"precision: expected one of {get_args(Precision)}, got {self.precision!r}"
            )
        if not isinstance(self.optimizer, GradientDescent):
            raise ProblemError(
                "optimizer: expected GradientDescent(), HeavyBall(beta), Nesterov(beta), "
                "SharpnessAware(rho) or Preconditioned(metric) of numerics.networks, got "
                f"{self.optimizer!r}; other rules need a formula for L"
            )
        check_leaves(self.params)
        check_output(self._traced, self.precision)
        check_finite(self.residual.doubles(self.start))
        _ = self.curvatures, self._made
        if self.losses is not None:
            check_losses(self.losses, self.curvatures, self.shape, self.precision)
        if self.batch_size is not None:
            check_counts(batch_size=(self.batch_size, 1))
            if not self.replacement and self.batch_size > self.samples:
                raise ProblemError(
                    f"batch_size: expected at most the {self.samples} samples, the first axis of "
                    f"the residuals, got {self.batch_size}"
                )
        if self.probes is not None:
            check_counts(probes=(self.probes, 2), seed=(self.seed, 0))
        self._check_noise()
        if self.optimizer.preconditioner is not None:
            check_metric(self.metric, self.start, self.precision)

    def at(self, weights: Doubles) -> Network:
        """The same network at other weights, shape (N,), with what has been compiled for it."""
        other = copy(self)
        object.__setattr__(other, "params", self.unflattened(weights))
        return other

    def probed(self, seed: int) -> Network:
        """The same network with other probes, and what has been compiled for it."""
        other = copy(self)
        object.__setattr__(other, "seed", seed)
        return other

    def once(self, make: Callable[[Network], Made]) -> Made:
        """What a function makes of this network at any weights, made when first asked for."""
        if make not in self._made:
            self._made[make] = make(self)
        return self._made[make]

    def __repr__(self) -> str:
        noise = "no noise" if self.noise is None else self.noise.name
        return f"Network({self.dimension} weights, {self.count} residuals, {noise})"

    @cached_property
    def _made(self) -> dict[Any, Any]:
        return {}

    # The network as functions of flat vectors -----------------------------------------------------

    @property
    def start(self) -> Doubles:
        """The given parameters as weights, shape (N,)."""
        return self.flattened(self.params)

    def flattened(self, params: Tree) -> Doubles:
        """Weights, shape (N,), of parameters; weights stay as they are.

        Raises
        ------
        ArgumentError
            If the parameters have another structure or other shapes.
        """
        if (weights := _as_weights(params)) is not None and weights.shape == (self.dimension,):
            return weights
        given, expected = jax.tree.map(np.shape, params), jax.tree.map(np.shape, self.params)
        if given != expected:
            raise ArgumentError(
                f"params: expected a pytree of the shapes {expected}, or their {self.dimension} "
                f"weights; got {given}"
            )
        leaves = [np.ravel(np.asarray(x, dtype=np.float64)) for x in jax.tree.leaves(params)]
        return np.concatenate(leaves)

    def unflattened(self, weights: Doubles) -> Tree:
        """The pytree of NumPy arrays of weights, shape (N,)."""
        leaves, structure = jax.tree.flatten(self.params)
        ends = np.cumsum([np.size(x) for x in leaves])
        parts = np.split(np.asarray(weights), ends[:-1])
        return jax.tree.unflatten(
            structure, [p.reshape(np.shape(x)) for p, x in zip(parts, leaves, strict=True)]
        )

    @cached_property
    def dimension(self) -> int:
        """N, the number of weights."""
        return int(sum(np.size(x) for x in jax.tree.leaves(self.params)))

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Shape of the residuals, samples first."""
        return tuple(self._traced.shape)

    @cached_property
    def _traced(self) -> Any:
        with self.in_precision():
            return jax.eval_shape(self.residuals, self.cast(self.params))

    @property
    def count(self) -> int:
        """The number n of residuals."""
        return int(np.prod(self.shape))

    @property
    def samples(self) -> int:
        """Length of the residuals' first axis."""
        return self.shape[0] if self.shape else 1

    @cached_property
    def curvatures(self) -> Doubles:
        """The c_i, shape (n,)."""
        given = 2.0 / self.count if self.weights is None else self.weights
        c = doubles("weights", given)
        if c.shape not in ((), self.shape) or not (np.isfinite(c) & (c > 0)).all():
            raise ProblemError(
                f"weights: expected positive c_i, one number or of the residuals' shape "
                f"{self.shape}, got {given!r}"
            )
        return np.array(np.broadcast_to(c, self.shape)).ravel()

    @cached_property
    def noise(self) -> Noise | None:
        """The noise that the mechanism makes of the residuals."""
        if self.mechanism is None:
            return None
        with self.in_precision():
            return self.mechanism(self.residuals, self.cast(self.params))

    @cached_property
    def noise_size(self) -> int:
        """The number d of noise coordinates."""
        leaves = [] if self.noise is None else jax.tree.leaves(self.noise.example)
        return int(sum(np.size(x) for x in leaves))

    @cached_property
    def residual(self) -> Compiled:
        """Residuals of weights, shape (n,)."""
        return Compiled(self.flat_residuals, self.precision)

    @cached_property
    def jacobian(self) -> Derivative:
        """The Jacobian J of the residuals, n × N."""

        def action(w: Any, t: Any) -> Any:
            return jax.jvp(self.flat_residuals, (w,), (t,))[1]

        return Derivative(action, self.count, self.dimension, self.precision)

    @cached_property
    def metric(self) -> Metric:
        """Ω, what the optimizer makes of gradients."""
        given = self.optimizer.preconditioner
        return Metric(None if given is None else self.flat_raised, self.precision)

    @cached_property
    def noise_jacobian(self) -> Derivative:
        """The Jacobian ∂_η r̂ at η = 0, n × d, as a function of the weights."""

        def action(w: Any, t: Any) -> Any:
            if self.noise is not None and self.noise.on_labels:
                return -t
            origin = jnp.zeros(self.noise_size, dtype=self.precision)
            return jax.jvp(lambda eta: self.flat_noisy_residuals(w, eta), (origin,), (t,))[1]

        return Derivative(action, self.count, self.noise_size, self.precision)

    def flat_raised(self, w: Any, g: Any) -> Any:
        """Traced: Ω(w) g, shape (N,)."""
        metric = self.optimizer.preconditioner
        return g if metric is None else ravel_pytree(metric(self._tree(w), self._tree(g)))[0]

    def flat_residuals(self, w: Any) -> Any:
        """Traced: residuals, shape (n,)."""
        return jnp.ravel(self.residuals(self._tree(w)))

    def flat_noisy_residuals(self, w: Any, eta: Any) -> Any:
        """Traced: noisy residuals, shape (n,), of noise of shape (d,)."""
        assert self.noise is not None and self.noise.residuals is not None
        return jnp.ravel(self.noise.residuals(self._tree(w), self._noise_tree(eta)))

    def flat_losses(self, r: Any) -> Any:
        """Traced: losses of the samples, shape (samples,), of residuals of shape (n,)."""
        if self.losses is not None:
            return self.losses(jnp.reshape(r, self.shape))
        return 0.5 * self._by_sample(jnp.asarray(self.curvatures, dtype=r.dtype) * r**2)

    def flat_noisy_loss(self, w: Any, eta: Any, emphasis: Any = 1.0) -> Any:
        """Traced: L̂(w, η), the samples weighted by an emphasis, shape (samples,), of mean one."""
        noise = self.noise
        if noise is None:
            return jnp.sum(emphasis * self.flat_losses(self.flat_residuals(w)))
        if noise.loss is not None:
            return noise.loss(self._tree(w), self._noise_tree(eta))
        if noise.additive:
            return jnp.sum(emphasis * self.flat_losses(self.flat_residuals(w))) + eta @ w
        if not (noise.on_labels and self.losses is not None):
            return jnp.sum(emphasis * self.flat_losses(self.flat_noisy_residuals(w, eta)))
        r, c = self.flat_residuals(w), jnp.asarray(self.curvatures, dtype=w.dtype)
        tilt = self._by_sample(c * eta * (0.5 * eta - r))
        return jnp.sum(emphasis * (self.flat_losses(r) + tilt))

    def loss(self, w: Doubles) -> float:
        """L at weights of shape (N,)."""
        return float(self._loss.doubles(w))

    @cached_property
    def sampling_covariance(self) -> Doubles:
        """Covariance of the samples' emphasis in a batch, shape (n, n), per pair of residuals."""
        m, size = self.samples, self.batch_size
        if size is None or m == 1:
            return np.zeros((self.count, self.count))
        scale = m / size if self.replacement else m * (m - size) / (size * (m - 1))
        between = scale * (np.eye(m) - 1.0 / m)
        outputs = self.count // m
        return np.asarray(np.kron(between, np.ones((outputs, outputs))), dtype=np.float64)

    @staticmethod
    def in_precision() -> Any:
        """A context in which JAX computes in the precision of its arguments."""
        return jax.enable_x64(True)

    def cast(self, params: Tree) -> Tree:
        """Parameters as arrays of JAX; within `in_precision`."""
        return jax.tree.map(lambda x: jnp.asarray(x, dtype=self.precision), params)

    @cached_property
    def _loss(self) -> Compiled:
        return Compiled(lambda w: jnp.sum(self.flat_losses(self.flat_residuals(w))), self.precision)

    def _by_sample(self, each: Any) -> Any:
        """Traced: sums over the outputs of every sample, shape (samples,)."""
        return jnp.sum(jnp.reshape(each, (self.samples, -1)), axis=1)

    def _tree(self, w: Any) -> Tree:
        return ravel_pytree(self.cast(self.params))[1](w)

    def _noise_tree(self, eta: Any) -> Tree:
        assert self.noise is not None
        return ravel_pytree(self.cast(self.noise.example))[1](eta)

    def kinks(self) -> tuple[str, ...]:
        """Operations of the residuals that are not smooth, such as max, by their names."""
        with self.in_precision():
            return kinks(self.residuals, self.cast(self.params))

    @cached_property
    def cell(self) -> Compiled | None:
        """On which side of each kink weights are, shape (kinks,); None without kinks."""
        return Compiled(cell(self.flat_residuals), self.precision) if self.kinks() else None

    def _check_noise(self) -> None:
        noise = self.noise
        if noise is None or noise.additive:
            return
        # Off Γ, where residuals do not vanish.
        away = np.random.default_rng(0).standard_normal(self.dimension)
        w, origin = self.start + 0.01 * away, np.zeros(self.noise_size)
        if noise.loss is not None:
            if self.batch_size is not None:
                raise ProblemError("batch_size: a noisy loss has no samples; put it into η")
            given = np.array(float(Compiled(self.flat_noisy_loss, self.precision)(w, origin)))
            check_equal("L̂(params, 0)", given, np.array(self.loss(w)), self.precision)
        else:
            found = Compiled(self.flat_noisy_residuals, self.precision).doubles(w, origin)
            r = self.residual.doubles(w)
            check_equal("residuals without noise", found, r, self.precision)


def _as_weights(given: Any) -> Doubles | None:
    """A vector of numbers, if it is one."""
    if isinstance(given, np.ndarray | Sequence) and all(isinstance(x, Real) for x in given):
        return np.asarray(given, dtype=np.float64)
    return None
