"""Training of a network, its limit along Γ, what a killed run resumes to, and their comparison."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jnp = jax.numpy

from derive import Gaussian, derive_limit  # noqa: E402
from derive.errors import SavedFileError  # noqa: E402
from numerics import StepSizeWarning, simulate_descent, simulate_limit, validate  # noqa: E402
from numerics.networks import (  # noqa: E402
    Network,
    NetworkLimit,
    additive_noise,
    dropout,
    label_noise,
    train,
)

INPUTS = np.array([[0.7, -0.4], [-0.2, 1.1], [0.9, 0.5]])
TARGETS = np.array([1.0, -1.0, 0.5])
UNITS = 4
ALPHA = 0.1
ROOT = Path(__file__).parents[3]


def outputs(params: Any, masks: Any = 1.0) -> Any:
    return (jnp.tanh(INPUTS @ params["in"]) * masks) @ params["out"] - TARGETS


def network_on_gamma() -> Network:
    rng = np.random.default_rng(1)
    start = {"in": rng.normal(size=(2, UNITS)), "out": rng.normal(size=UNITS)}
    return train(Network(outputs, start, label_noise()))


@pytest.fixture(scope="module")
def network() -> Network:
    return network_on_gamma()


@pytest.fixture(scope="module")
def labels(network: Network) -> NetworkLimit:
    return derive_limit(network)


class Killed(Exception):
    """What happens to a run in these tests."""


def killer(after: int) -> Callable[[Any], float]:
    """A test error that ends the run at the so-manieth record."""
    calls = iter(range(after))

    def test(_: Any) -> float:
        if next(calls, None) is None:
            raise Killed
        return 0.0

    return test


def test_flow_stays_on_the_manifold_and_its_error_follows_the_tolerance(
    labels: NetworkLimit,
) -> None:
    runs = [
        simulate_limit(labels, time=4.0, record=3, tolerance=tolerance)
        for tolerance in (1e-3, 1e-6, 1e-9)
    ]
    rough, usual, exact = (run.end[0] for run in runs)
    assert np.linalg.norm(usual - exact) < 1e-5
    assert np.linalg.norm(rough - exact) > 10 * np.linalg.norm(usual - exact)
    assert all(run["loss"].max() < 1e-24 for run in runs)
    assert np.all(np.diff(runs[1]["trace"]) < 0)
    assert runs[1]["distance"][0, -1] == pytest.approx(
        np.linalg.norm(usual - labels.origin.point), rel=1e-9
    )


def test_killed_limit_resumes_to_the_same_bits(labels: NetworkLimit, tmp_path: Path) -> None:
    ways = {"time": 4.0, "record": 5, "alpha": ALPHA}
    whole = simulate_limit(labels, test=killer(99), **ways)
    with pytest.raises(Killed):
        simulate_limit(labels, test=killer(3), checkpoint=tmp_path / "flow.npz", **ways)
    resumed = simulate_limit(labels, test=killer(2), checkpoint=tmp_path / "flow.npz", **ways)
    np.testing.assert_array_equal(resumed.end, whole.end)
    np.testing.assert_array_equal(resumed["trace"], whole["trace"])
    with pytest.raises(SavedFileError, match="another run"):
        simulate_limit(labels, checkpoint=tmp_path / "flow.npz", time=4.0, record=5, alpha=0.2)


def test_killed_training_resumes_to_the_same_bits(network: Network, tmp_path: Path) -> None:
    ways = {"alpha": ALPHA, "sigma": 0.1, "steps": 400, "paths": 3, "seed": 5, "record": 5}
    whole = simulate_descent(network, test=killer(99), **ways)
    with pytest.raises(Killed):
        simulate_descent(network, test=killer(8), checkpoint=tmp_path / "run.npz", **ways)
    resumed = simulate_descent(network, test=killer(9), checkpoint=tmp_path / "run.npz", **ways)
    np.testing.assert_array_equal(resumed.end, whole.end)
    for name in ("loss", "trace", "largest"):
        np.testing.assert_array_equal(resumed[name], whole[name])


def test_a_path_does_not_depend_on_the_paths_beside_it(network: Network) -> None:
    ways = {"alpha": ALPHA, "sigma": 0.1, "steps": 100, "seed": 5, "record": 2}
    many, few = (simulate_descent(network, paths=paths, **ways) for paths in (3, 1))
    np.testing.assert_allclose(many.end[0], few.end[0], rtol=1e-10)
    assert np.linalg.norm(many.end[1] - many.end[0]) > 1e-3


def test_diffusion_stays_on_the_manifold_and_is_keyed_by_path(network: Network) -> None:
    limit = derive_limit(replace(network, mechanism=additive_noise()))
    ways = {"time": 0.05, "step": 0.01, "seed": 2, "record": 2}
    several = simulate_limit(limit, paths=2, **ways)
    alone = simulate_limit(limit, paths=1, **ways)
    np.testing.assert_array_equal(several.end[0], alone.end[0])
    assert np.linalg.norm(several.end[1] - several.end[0]) > 0.05
    assert several["loss"].max() < 1e-24


def wrong(limit: NetworkLimit, factor: float) -> NetworkLimit:
    """The limit of a Reg, or of a Σ, that is so many times as large."""
    equation = limit.equation
    return replace(
        limit,
        equation=replace(
            equation, regularizer=factor * equation.regularizer, ito=factor * equation.ito
        ),
    )


def test_a_comparison_tells_a_limit_from_one_that_is_half_as_fast(network: Network) -> None:
    masks = dropout(outputs, np.ones(UNITS), Gaussian())
    limit = derive_limit(replace(network, mechanism=masks))
    ways = {"alpha": ALPHA, "sigma": 0.05, "time": 1.0, "paths": 8, "seed": 1}
    report = validate(limit, **ways)
    assert report.passed, str(report)
    assert not report.against(wrong(limit, 0.5)).passed


@pytest.mark.slow
@pytest.mark.parametrize("name", ["label noise", "dropout"])
def test_training_follows_its_limit_and_no_other(
    network: Network, labels: NetworkLimit, name: str
) -> None:
    if name == "dropout":
        masks = dropout(outputs, np.ones(UNITS), Gaussian())
        limit = derive_limit(replace(network, mechanism=masks))
        ways = {"alpha": ALPHA, "sigma": 0.03, "time": 1.0, "paths": 16, "seed": 1}
    else:
        limit = labels
        ways = {"alpha": ALPHA, "sigma": 0.1, "time": 5.0, "paths": 16, "seed": 1}
    report = validate(limit, **ways)
    assert report.passed, str(report)
    assert report.against(limit).passed
    assert not report.against(wrong(limit, 1.05)).passed
    assert report.plot().axes


KILLED_RUN = """
import os, signal, sys
import numpy as np
from derive import derive_limit
from numerics import simulate_descent, simulate_limit
from tests.numerics.networks.test_network_runs import ALPHA, network_on_gamma

folder, records = sys.argv[1], iter(range(int(sys.argv[2])))

def test(params):
    if next(records, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
    return 0.0

network = network_on_gamma()
ways = {"record": 5, "test": test, "checkpoint": f"{folder}/run.npz"}
run = simulate_descent(network, alpha=ALPHA, sigma=0.1, steps=400, paths=2, seed=5, **ways)
ways["checkpoint"] = f"{folder}/flow.npz"
flow = simulate_limit(derive_limit(network), time=4.0, alpha=ALPHA, **ways)
ended = {"run": run.end, "flow": flow.end, "run_trace": run["trace"], "flow_trace": flow["trace"]}
np.savez(f"{folder}/end.npz", **ended)
"""


@pytest.mark.slow
def test_runs_of_a_killed_process_resume_to_the_same_bits(tmp_path: Path) -> None:
    """Killed in the midst of training, then of the limit; neither has time to clean up."""

    def run(folder: Path, records: int) -> int:
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-c", KILLED_RUN, str(folder), str(records)]
        return subprocess.run(command, check=False, cwd=ROOT, timeout=600).returncode

    killed, whole = tmp_path / "killed", tmp_path / "whole"
    assert run(whole, 99) == 0
    assert run(killed, 5) == -signal.SIGKILL
    assert (killed / "run.npz").exists()
    assert not (killed / "flow.npz").exists()
    assert run(killed, 8) == -signal.SIGKILL
    assert (killed / "flow.npz").exists()
    assert run(killed, 99) == 0
    with np.load(killed / "end.npz") as resumed, np.load(whole / "end.npz") as expected:
        for name in expected:
            np.testing.assert_array_equal(resumed[name], expected[name])


def test_an_unstable_step_is_warned_of_with_its_number(network: Network) -> None:
    largest = derive_limit(network).origin.values[-1]
    ways = {"sigma": 0.0, "steps": 2, "seed": 0, "record": 2}
    with pytest.warns(StepSizeWarning, match=r"α λ_max = 2\.1 at the start, .* stable below 2;"):
        simulate_descent(network, alpha=2.1 / largest, **ways)
    simulate_descent(network, alpha=1.9 / largest, **ways)
