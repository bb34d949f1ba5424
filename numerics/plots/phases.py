"""The phase diagram in (α, σ)."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from derive.analysis.phases import Term

from ..validation.phases import Border, Cut, PhaseDiagram
from .style import GREY, INK, SERIES, Array, legend_below, sheet, styled

LETTERS = str.maketrans({"∇": r"\nabla ", "Σ": r"\Sigma", "₂": "_2", "₃": "_3"})
PALE = 0.28
"""Strength of a region's colour."""


@styled
def phase_diagram(
    diagram: PhaseDiagram, stable: float | None = None, cut: Cut | None = None
) -> Figure:
    """Which term rules where, with the borders labelled; beside it a cut at the diamonds, measured.

    Parameters
    ----------
    diagram : PhaseDiagram
        Regions and borders.
    stable : float, optional
        Step size 2/λ_max from which on gradient descent is unstable.
    cut : Cut, optional
        Measured speeds at one step size.
    """
    figure, axes = sheet(1, 1 if cut is None else 2, 4.4, 3.8)
    panel = axes[0, 0]
    _draw_regions(panel, diagram)
    for border in diagram.borders:
        panel.plot(border.alphas, border.sigmas, color=INK, linewidth=1.0)
        _label_border(panel, border)
    if stable is not None:
        panel.axvspan(
            stable, diagram.alphas[-1], facecolor="none", edgecolor=GREY, hatch="///", linewidth=0
        )
        panel.axvline(stable, color=GREY, linewidth=1.0)
        panel.text(
            stable,
            1.01,
            r"$\alpha\lambda_{\max}=2$",
            transform=panel.get_xaxis_transform(),
            ha="center",
        )
    if cut is not None:
        panel.plot(
            [cut.alpha, cut.alpha],
            [0, 1],
            "d",
            color=INK,
            markersize=5,
            clip_on=False,
            transform=panel.get_xaxis_transform(),
        )
        _draw_cut(axes[0, 1], diagram, cut)
        legend_below(figure, axes[0, 1])
    return figure


def _name(term: Term) -> str:
    name = term.name.translate(LETTERS).replace("Reg", r"\mathrm{Reg}")
    return f"${name}$"


def _monomial(i: int, j: int) -> str:
    r"""α^i σ^j, negative powers as a denominator."""

    def product(*factors: tuple[str, int]) -> str:
        powers = (rf"{x}^{n}" if n > 1 else x for x, n in factors if n > 0)
        return r"\,".join(powers)

    above = product((r"\alpha", i), (r"\sigma", j)) or "1"
    below = product((r"\alpha", -i), (r"\sigma", -j))
    return f"{above}/{below}" if below else above


def _draw_regions(panel: Axes, diagram: PhaseDiagram) -> None:
    colors = np.array([to_rgb(SERIES[i % len(SERIES)]) for i in range(len(diagram.terms))])
    picture = 1 - PALE * (1 - colors)
    panel.pcolormesh(
        diagram.alphas, diagram.sigmas, picture[diagram.ruling], shading="gouraud", rasterized=True
    )
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlabel(r"$\alpha$")
    panel.set_ylabel(r"$\sigma$", rotation=0, labelpad=10)
    for i in np.unique(diagram.ruling):
        # Regions are convex in logarithms, so that they contain their middles.
        rows, columns = np.nonzero(diagram.ruling == i)
        term = diagram.terms[i]
        panel.text(
            diagram.alphas[round(columns.mean())],
            diagram.sigmas[round(rows.mean())],
            f"{_name(term)}\nscale $1/({_monomial(term.alpha_power, term.sigma_power)})$",
            ha="center",
            va="center",
        )


def _label_border(panel: Axes, border: Border) -> None:
    """The equation of a border, written along it."""
    middle = len(border.alphas) // 2
    ends: Array = panel.transData.transform(
        np.stack([border.alphas[[0, -1]], border.sigmas[[0, -1]]], axis=1)
    )
    across, up = ends[1] - ends[0]
    panel.text(
        border.alphas[middle],
        border.sigmas[middle],
        rf"${_monomial(border.alpha_power, border.sigma_power)} = {border.value:.2g}$",
        rotation=np.degrees(np.arctan2(up, across)),
        rotation_mode="anchor",
        ha="center",
        va="bottom",
        fontsize=8,
    )


def _draw_cut(panel: Axes, diagram: PhaseDiagram, cut: Cut) -> None:
    for i, term in enumerate(diagram.terms):
        power = _monomial(term.alpha_power, term.sigma_power)
        panel.plot(
            diagram.sigmas,
            term.speed(cut.alpha, diagram.sigmas),
            color=SERIES[i % len(SERIES)],
            label=rf"{_name(term)}, $\propto {power}$",
        )
    panel.plot(cut.sigmas, cut.predicted, "--", color=INK, linewidth=1.0, label="next order")
    panel.errorbar(
        cut.sigmas,
        cut.measured.value,
        cut.measured.error,
        fmt="o",
        color=INK,
        markersize=3.5,
        label="measured",
    )
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_ylim(cut.measured.value.min() / 5, 5 * cut.measured.value.max())
    panel.set_xlabel(r"$\sigma$")
    panel.set_ylabel("speed per iteration")
    panel.set_title(rf"$\alpha = {cut.alpha:g}$")
