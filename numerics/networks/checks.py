"""What a network is checked for before anything is derived from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from derive import ProblemError

from .mechanisms import Tree
from .programs import Compiled, Doubles, Metric, Precision

AGREEMENT = {"float64": 1e-10, "float32": 1e-4}
"""How well what should be the same must agree, relative to its size."""


def check_leaves(params: Tree) -> None:
    """Raise unless parameters are arrays of floating-point numbers."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    if not leaves:
        raise ProblemError("params: expected a pytree of floating-point arrays, got no leaf")
    for path, leaf in leaves:
        kind = getattr(getattr(leaf, "dtype", np.asarray(leaf).dtype), "kind", "V")
        if kind != "f":
            raise ProblemError(
                f"params{jax.tree_util.keystr(path)}: expected floating-point numbers, got "
                f"{leaf!r}; what is not trained belongs into the function, closed over"
            )


def check_output(found: Any, precision: Precision) -> None:
    """Raise unless residuals, as traced, are one array in the precision asked for."""
    if not isinstance(found, jax.ShapeDtypeStruct):
        raise ProblemError(
            f"residuals: expected a function that returns one array, got {found}; a network "
            "with a state, such as batch normalisation in training mode, is no function of "
            "its parameters: use its running averages, or another normalisation"
        )
    if found.dtype != precision:
        raise ProblemError(
            f"residuals: of {found.dtype} for parameters of {precision}; for single "
            "precision, what the function closes over or makes has to be of it too"
        )


def check_finite(residuals: Doubles) -> None:
    """Raise if a residual is not finite."""
    lost = np.count_nonzero(~np.isfinite(residuals))
    if lost:
        raise ProblemError(
            f"residuals: {lost} of {residuals.size} are not finite at the given parameters; start "
            "from smaller weights, or look for a division by zero or a logarithm of it"
        )


def check_losses(
    losses: Callable[[Any], Any], curvatures: Doubles, shape: tuple[int, ...], precision: Precision
) -> None:
    """Raise unless losses have their minima at residuals zero, and there the curvatures c_i."""

    def total(r: Any) -> Any:
        return jnp.sum(losses(jnp.reshape(r, shape)))

    def derivatives(r: Any, t: Any) -> Any:
        return jax.jvp(jax.grad(total), (r,), (t,))

    origin = np.zeros(curvatures.size)
    direction = np.random.default_rng(2).standard_normal(curvatures.size)
    with jax.enable_x64(True):
        found = jax.eval_shape(losses, jnp.zeros(shape, dtype=precision))
    if getattr(found, "shape", None) != shape[:1]:
        raise ProblemError(
            f"losses: expected one for each of the samples, shape {shape[:1]}, got {found}"
        )
    slope, curved = Compiled(derivatives, precision).doubles(origin, direction)
    expected = curvatures * direction
    for what, value, size in (
        ("first derivatives zero", slope, curvatures.max()),
        ("second derivatives c_i", curved - expected, np.abs(expected).max()),
    ):
        gap = float(np.abs(value).max() / size)
        if not gap <= AGREEMENT[precision]:
            raise ProblemError(
                f"losses: expected {what} where the residuals vanish; they differ by {gap:.3g} of "
                "the c_i. Measure residuals from the minimum, in units in which it has `weights` "
                "for curvatures"
            )


def check_metric(metric: Metric, w: Doubles, precision: Precision) -> None:
    """Raise unless Ω is symmetric and positive between two random vectors."""
    u, v = np.random.default_rng(1).standard_normal((2, len(w)))
    left, right = (metric(w, x[None]) for x in (u, v))
    if left[0].shape != u.shape:
        raise ProblemError(
            f"optimizer: expected a metric that makes of a gradient a pytree like it, of "
            f"{len(w)} numbers; got {left[0].size}"
        )
    size = float(np.linalg.norm(left) * np.linalg.norm(v))
    gap = abs(float(np.vdot(left, v)) - float(np.vdot(u, right)))
    if not gap <= AGREEMENT[precision] * size:
        raise ProblemError(
            f"optimizer: expected a symmetric metric Ω; u·Ωv and v·Ωu differ by "
            f"{gap / size:.3g} of their size. Other preconditioners need a formula for L"
        )
    if not min(float(np.vdot(left, u)), float(np.vdot(right, v))) > 0.0:
        raise ProblemError(
            f"optimizer: expected a positive metric Ω; u·Ωu is {float(np.vdot(left, u)):.3g} "
            "for a random u"
        )


def check_equal(name: str, found: Doubles, expected: Doubles, precision: Precision) -> None:
    """Raise unless what a mechanism makes without noise is what the network has without it."""
    same = found.shape == expected.shape
    # Residuals on Γ are differences of numbers of the weights' size.
    size = 1.0 + float(np.abs(expected).max()) if same else 1.0
    gap = float(np.abs(found - expected).max()) if same else np.inf
    if not gap <= AGREEMENT[precision] * size:
        raise ProblemError(
            f"mechanism: {name} differ from those of the network by {gap:.3g}; without "
            "noise both must be the same (the masks are 1 + η)"
        )
