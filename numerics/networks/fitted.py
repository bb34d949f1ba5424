"""A network from a model, its inputs and its targets, whose samples are checked to be apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike

from derive import ProblemError

from .mechanisms import Tree
from .network import AGREEMENT, Network


def fitted(
    model: Callable[[Tree, Any], Any], inputs: Any, targets: ArrayLike, params: Tree, **fields: Any
) -> Network:
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
    with Network.in_precision():
        shape = jax.eval_shape(model, params, inputs).shape
    if shape != goal.shape:
        raise ProblemError(f"targets: expected the outputs' shape {shape}, got {goal.shape}")
    network = Network(lambda p: model(p, inputs) - goal, params, **fields)
    with network.in_precision():
        given = network.cast(params)
        whole = np.asarray(model(given, inputs))
        half = jax.tree.map(lambda x: x[: (len(goal) + 1) // 2], inputs)
        part = np.asarray(model(given, half))
    gap = float(np.abs(whole[: len(part)] - part).max())
    if not gap <= AGREEMENT[network.precision] * (1.0 + float(np.abs(whole).max())):
        raise ProblemError(
            f"model: the outputs of samples change by {gap:.3g} when others are left out; batch "
            "normalisation in training mode makes them depend on one another: use its running "
            "averages, or a normalisation of each sample, such as layer normalisation"
        )
    return network
