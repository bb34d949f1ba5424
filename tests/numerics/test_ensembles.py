"""Ensembles: the same bits on every executor, after every interruption."""

from __future__ import annotations

import warnings
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import sympy as sp

from derive import NoisyGradientDescent
from numerics import EnsembleError, compile_descent, simulate_descent, simulate_grid
from numerics.simulation.ensembles import DescentJob

w1, w2, eta = sp.symbols("w1 w2 eta", real=True)
LOSS = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
RING = compile_descent(NoisyGradientDescent(LOSS, LOSS + (w1**2 + w2**2) * eta / 2, (w1, w2), eta))
START = (0.6, 0.8)
GRID = [(0.05, 0.1), (0.025, 0.2)]
SETTINGS = {"grid": GRID, "steps": [40, 81], "paths": 50, "seed": 4, "record": 3}
SETTINGS |= {"chunk_paths": 20}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> list[np.ndarray]:
    """The weights at both grid points, from an uninterrupted serial run."""
    ensemble = simulate_grid(RING, START, tmp_path_factory.mktemp("serial"), **SETTINGS)
    return [paths.weights for paths in ensemble]


def assert_same(ensemble, whole) -> None:
    for paths, weights in zip(ensemble, whole, strict=True):
        np.testing.assert_array_equal(paths.weights, weights)


def test_a_grid_point_is_a_run_with_its_own_seed(whole) -> None:
    alone = simulate_descent(
        RING, START, alpha=0.025, sigma=0.2, steps=81, paths=50, seed=(4, 1), record=3
    )
    np.testing.assert_array_equal(whole[1], alone.weights)


def test_threads_and_processes_give_the_same_bits(tmp_path, whole) -> None:
    with ThreadPoolExecutor(2) as pool:
        assert_same(simulate_grid(RING, START, tmp_path / "t", **SETTINGS, executor=pool), whole)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert_same(simulate_grid(RING, START, tmp_path / "p", **SETTINGS, executor=pool), whole)


def test_a_real_dask_cluster_gives_the_same_bits(tmp_path, whole) -> None:
    distributed = pytest.importorskip("distributed")
    with warnings.catch_warnings():
        # Dask's own: ports in use, and what its shutdown leaves to the garbage collector.
        warnings.simplefilter("ignore")
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, dashboard_address=None
            ) as cluster,
            distributed.Client(cluster) as client,
            client.get_executor() as executor,
        ):
            ensemble = simulate_grid(RING, START, tmp_path, **SETTINGS, executor=executor)
    assert_same(ensemble, whole)


class Failing(Executor):
    """Runs calls at once, and fails from the third on as a pool does that lost a worker."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.calls = 0

    def submit(self, function, /, *arguments, **keywords) -> Future:
        future: Future = Future()
        self.calls += 1
        if self.calls > 2:
            future.set_exception(self.error)
        else:
            future.set_result(function(*arguments, **keywords))
        return future


def test_a_lost_worker_loses_no_finished_chunk(tmp_path, whole) -> None:
    with pytest.raises(EnsembleError, match="run again with resume=True"):
        simulate_grid(RING, START, tmp_path, **SETTINGS, executor=Failing(RuntimeError("lost")))
    written = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.npz")}
    assert len(written) == 2
    ensemble = simulate_grid(RING, START, tmp_path, **SETTINGS, resume=True)
    assert_same(ensemble, whole)
    assert not ensemble.missing()
    assert all(p.stat().st_mtime_ns == time for p, time in written.items())


def test_an_interrupted_run_resumes_with_the_same_bits(tmp_path, whole, monkeypatch) -> None:
    run, calls = DescentJob.__call__, []

    def interrupted(job, chunk):
        calls.append(chunk)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return run(job, chunk)

    monkeypatch.setattr(DescentJob, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        simulate_grid(RING, START, tmp_path, **SETTINGS)
    monkeypatch.undo()
    assert len(list(tmp_path.glob("*.npz"))) == 3
    assert_same(simulate_grid(RING, START, tmp_path, **SETTINGS, resume=True), whole)


def test_another_ensemble_is_not_mixed_in(tmp_path) -> None:
    simulate_grid(RING, START, tmp_path, **SETTINGS)
    with pytest.raises(EnsembleError, match="pass resume=True"):
        simulate_grid(RING, START, tmp_path, **SETTINGS)
    with pytest.raises(EnsembleError, match="differs in settings"):
        simulate_grid(RING, START, tmp_path, **(SETTINGS | {"seed": 5}), resume=True)
    with pytest.raises(EnsembleError, match="differs in start"):
        simulate_grid(RING, (0.8, 0.6), tmp_path, **SETTINGS, resume=True)
    (tmp_path / "ensemble.json").write_text("{")
    with pytest.raises(EnsembleError, match="not a manifest"):
        simulate_grid(RING, START, tmp_path, **SETTINGS, resume=True)
