"""Iterates around a point of Γ, with the fluctuations that the theory gives them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..models.compiled_limit import CompiledLimit
from ..validation.measurements.clouds import Cloud
from .style import ASYMPTOTIC, AT_STEP, ITERATES, legend_below, sheet, styled

Array = NDArray[np.float64]

RADIUS = 2.0
"""Standard deviations at which an ellipse is drawn."""

BINS = 60
POINTS = 3000
"""Iterates that are drawn as dots."""


@styled
def fluctuations(
    clouds: Mapping[str, Cloud], limit: CompiledLimit, asymptotic: CompiledLimit
) -> Figure:
    """Clouds of iterates in the two stiffest directions across Γ, with their ellipses.

    Across a hypersurface there is one direction: a histogram with the two densities.

    Parameters
    ----------
    clouds : mapping of str to Cloud
        By title; around points of Γ.
    limit, asymptotic : CompiledLimit
        The limit at the step size of the clouds, and that of α → 0.
    """
    figure, axes = sheet(1, len(clouds), 3.2, 3.2)
    for panel, (title, cloud) in zip(axes[0], clouds.items(), strict=True):
        basis, exact = limit.across(cloud.point)
        slow = asymptotic.across(cloud.point)[1]
        draw = _draw_density if len(basis) == 1 else _draw_ellipses
        draw(panel, cloud.deviations @ basis[:2].T, cloud.unit * exact, cloud.unit * slow)
        panel.set_title(title)
    legend_below(figure, axes[0, 0])
    return figure


def _draw_ellipses(axes: Axes, across: Array, exact: Array, slow: Array) -> None:
    axes.plot(*across[:POINTS].T, ".", color=ITERATES, markersize=1.5, label=r"$w_k - \Phi(w_k)$")
    for matrix, color, style, label in _laws(exact, slow):
        axes.plot(*_ellipse(matrix[:2, :2]), style, color=color, label=label)
    axes.set_aspect("equal")
    axes.set_xlabel("along $v_1$")
    axes.set_ylabel("along $v_2$")


def _draw_density(axes: Axes, across: Array, exact: Array, slow: Array) -> None:
    axes.hist(
        across[:, 0], BINS, density=True, color=ITERATES, alpha=0.6, label=r"$w_k - \Phi(w_k)$"
    )
    edge = float(np.abs(across[:, 0]).max())
    x = np.linspace(-edge, edge, 300)
    for matrix, color, style, label in _laws(exact, slow):
        variance = matrix[0, 0]
        density = np.exp(-(x**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
        axes.plot(x, density, style, color=color, label=label)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel("along $v_1$")
    axes.set_ylabel("density")


def _laws(exact: Array, slow: Array) -> tuple[tuple[Array, str, str, str], ...]:
    return (
        (exact, AT_STEP, "-", r"exact at $\alpha$"),
        (slow, ASYMPTOTIC, ":", r"as $\alpha\to 0$"),
    )


def _ellipse(covariance: Array) -> Array:
    """Points of the ellipse of so many standard deviations, shape (2, ·)."""
    angle = np.linspace(0, 2 * np.pi, 200)
    values, axes = np.linalg.eigh(covariance)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    return np.asarray(RADIUS * (axes * np.sqrt(np.maximum(values, 0))) @ circle)
