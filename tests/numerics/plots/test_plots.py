"""Pictures: every function returns a labelled Figure and leaves the caller's settings alone."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from derive import derive_limit
from numerics import compare_with_limit, compile_limit, plots, survey, validate
from numerics.validation.measurements.clouds import cloud
from numerics.validation.measurements.experiment import Experiment
from tests.truth.catalogue import CATALOGUE

NET = next(e.problem for e in CATALOGUE if e.name == "label noise on a diagonal net")
RING = next(e.problem for e in CATALOGUE if e.name == "linear scalar noise on the uneven ring")


@pytest.fixture(scope="module")
def report():
    return validate(
        derive_limit(RING), (0.6, 0.8), alpha=[0.1, 0.05], sigma=0.1, time=0.2, paths=100, seed=0
    )


def labels(figure: Figure) -> set[str]:
    return {text.get_text() for legend in figure.legends for text in legend.get_texts()}


def test_overview_shows_recursion_and_both_limits(report):
    figure = report.plot()
    assert labels(figure) == {
        r"$\Gamma$",
        "$w_k$",
        r"limit at $\alpha$",
        r"limit $\alpha\to 0$",
        r"$\Phi_\alpha(w_k)$",
    }
    assert [axes.get_ylabel() for axes in figure.axes] == ["$w_{2}$", "$w_{1}$", "$w_{2}$"]


def test_every_axis_is_labelled(report):
    comparison = report.comparisons[-1]
    figures = [
        plots.rows({"ring": comparison}, report.observables, [report.landscape]),
        plots.bands(comparison, report.observables),
        plots.ladder(report.gaps),
        plots.exponents(report.scaling),
    ]
    for figure in figures:
        assert all(axes.get_xlabel() for axes in figure.axes)
        assert figure.axes[0].get_ylabel()


CUBIC = next(e.problem for e in CATALOGUE if e.name == "additive noise on a twisted cubic")


@pytest.mark.parametrize(("problem", "start"), [(RING, (0.6, 0.8)), (CUBIC, (0.5, 0.25, 0.125))])
def test_clouds_with_the_exact_law_and_the_asymptotic_one(problem, start):
    limit = derive_limit(problem)
    fast, slow = compile_limit(limit.at_step(0.1)), compile_limit(limit)
    point = slow.retract(start)
    around = cloud(Experiment(fast, 200, (0,)), point, alpha=0.1, sigma=0.05)
    figure = plots.fluctuations({"start": around}, fast, slow)
    assert labels(figure) == {r"$w_k - \Phi(w_k)$", r"exact at $\alpha$", r"as $\alpha\to 0$"}
    assert figure.axes[0].get_xlabel() and figure.axes[0].get_ylabel()


def test_settings_of_the_caller_are_left_alone(report):
    before = dict(mpl.rcParams)
    report.plot()
    assert dict(mpl.rcParams) == before


def test_level_sets_need_a_plane():
    limit = derive_limit(NET)
    with pytest.raises(ValueError, match="two weights"):
        survey(compile_limit(limit), np.zeros((3, 4)))


def test_many_weights_are_drawn_without_a_plane():
    comparison = compare_with_limit(
        derive_limit(NET), (1.3, 0.7, 0.5, 0.8), alpha=0.02, sigma=0.1, time=0.01, paths=20, seed=0
    )
    observables = {name: (lambda w, i=i: w[..., i]) for i, name in enumerate(comparison.names)}
    assert len(plots.bands(comparison, observables).axes) >= 4


@pytest.mark.parametrize(
    ("name", "shown"),
    [("w1", "$w_{1}$"), ("theta", r"$\theta$"), ("u_12", "$u_{12}$"), ("a[1]", "a[1]")],
)
def test_symbols_are_set_as_mathematics(name, shown):
    assert plots.symbol(name) == shown


def test_colours_differ():
    assert len({*plots.SERIES, plots.ITERATES}) == len(plots.SERIES)
