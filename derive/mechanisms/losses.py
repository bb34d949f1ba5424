"""Losses c(h, y) of one sample, and what is done to its label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import sympy as sp

from ..errors import ProblemError
from ..reading import read_expression, sequence

SampleLoss = Callable[[sp.Expr, sp.Expr], sp.Expr]
"""(h, y) ↦ c(h, y)."""


def squared(h: sp.Expr, y: sp.Expr) -> sp.Expr:
    """(h − y)²."""
    return (h - y) ** 2


def cross_entropy(h: sp.Expr, y: sp.Expr) -> sp.Expr:
    """Of the logit h of a class of probability y in [0, 1]: log(1 + eʰ) − yh.

    Its minimum is at h = log(y/(1 − y)), finite where the label is smoothed, 0 < y < 1.
    """
    return sp.log(1 + sp.exp(h)) - y * h


SAMPLE_LOSSES: Mapping[str, SampleLoss] = MappingProxyType(
    {"squared": squared, "cross_entropy": cross_entropy}
)
"""Losses of one sample by name, for model files."""


def sample_loss_of(given: SampleLoss | str) -> SampleLoss:
    """A loss of one sample, given as a function or by name."""
    found = SAMPLE_LOSSES.get(given) if isinstance(given, str) else given
    if not callable(found):
        raise ProblemError(
            f"sample_loss: expected a function of (h, y), or one of {', '.join(SAMPLE_LOSSES)}; "
            f"got {given!r}"
        )
    return found


def smoothed(targets: Any, smoothing: Any) -> list[sp.Expr]:
    """Smoothed labels (1 − ε) y + ε/2 of labels 0 and 1, as a flip with probability ε/2 makes.

    Parameters
    ----------
    targets : sequence
        Labels.
    smoothing : number or Expr
        ε.
    """
    part = read_expression("smoothing", smoothing)
    labels = [read_expression("targets", y) for y in sequence(targets, "targets")]
    return [(1 - part) * y + part / 2 for y in labels]


def flipped(labels: Sequence[sp.Expr]) -> list[sp.Expr]:
    """The other class of each label: 1 − y of 0 and 1, −y of −1 and 1.

    Raises
    ------
    ProblemError
        For other labels.
    """
    if set(labels) <= {0, 1}:
        return [1 - y for y in labels]
    if set(labels) <= {-1, 1}:
        return [-y for y in labels]
    raise ProblemError(
        f"targets: expected classes 0 and 1, or −1 and 1, got {', '.join(map(str, labels))}; label "
        "noise of other targets is `label_noise`"
    )
