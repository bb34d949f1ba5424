"""Ensembles: the same bits on every executor, after every interruption."""

from __future__ import annotations

import inspect
import shutil
import warnings
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

from derive import Mean, NoisyGradientDescent, SavedFileError, sigma
from numerics import EnsembleError, Paths, compile_descent, simulate_descent, simulate_grid
from numerics.simulation.descent import ensembles
from numerics.simulation.descent.ensembles import DescentJob

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


def test_an_ensemble_is_not_begun_twice(tmp_path) -> None:
    simulate_grid(RING, START, tmp_path, **SETTINGS)
    with pytest.raises(EnsembleError, match="pass resume=True"):
        simulate_grid(RING, START, tmp_path, **SETTINGS)


PENALIZED = replace(RING.problem, penalty=sigma**2 * w1**2)
VARIED = {
    "problem": PENALIZED,
    "start": (0.8, 0.6),
    "grid": [(0.05, 0.1), (0.025, 0.25)],
    "steps": [40, 82],
    "paths": 51,
    "seed": 5,
    "record": 4,
    "momentum": 0.5,
    "neighbourhood": 0.5,
    "chunk_paths": 21,
}
INDIFFERENT = {"directory", "executor", "resume"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of an ensemble."""
    folder = tmp_path_factory.mktemp("finished")
    simulate_grid(RING, START, folder, **SETTINGS)
    return folder


@pytest.mark.parametrize("argument", inspect.signature(simulate_grid).parameters)
def test_an_ensemble_is_not_resumed_with_another_argument(argument: str, finished) -> None:
    if argument in INDIFFERENT:
        return
    same = {"problem": RING, "start": START, **SETTINGS}
    with pytest.raises(EnsembleError, match="holds another ensemble; it differs in"):
        simulate_grid(directory=finished, **(same | {argument: VARIED[argument]}), resume=True)


def test_an_ensemble_is_not_resumed_by_another_release(finished, monkeypatch) -> None:
    monkeypatch.setattr(ensembles, "code_version", lambda: "another")
    with pytest.raises(EnsembleError, match="it differs in version"):
        simulate_grid(RING, START, finished, **SETTINGS, resume=True)


@pytest.mark.parametrize("manifest", ["{", "null", "[]", "3", '"x"', "[" * 100_000])
def test_a_damaged_manifest_is_refused(manifest: str, tmp_path) -> None:
    (tmp_path / "ensemble.json").write_text(manifest)
    with pytest.raises(EnsembleError, match=r"not a manifest|differs in"):
        simulate_grid(RING, START, tmp_path, **SETTINGS, resume=True)


@pytest.mark.parametrize("resume", [False, True])
def test_chunks_without_a_manifest_are_refused(resume: bool, finished, tmp_path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "lost"))
    (folder / "ensemble.json").unlink()
    with pytest.raises(EnsembleError, match=r"chunks of results, but not the ensemble\.json"):
        simulate_grid(RING, START, folder, **(SETTINGS | {"seed": 999}), resume=resume)


@pytest.mark.parametrize("resume", [False, True])
def test_of_two_that_start_at_once_one_is_refused(resume: bool, tmp_path, monkeypatch) -> None:
    write = ensembles.write_atomically

    def overtaken(*arguments, **options) -> None:
        """The other starts between the look at the folder and the first file in it."""
        monkeypatch.undo()
        simulate_grid(RING, START, tmp_path, **(SETTINGS | {"seed": 2}))
        write(*arguments, **options)

    monkeypatch.setattr(ensembles, "write_atomically", overtaken)
    with pytest.raises(EnsembleError, match="differs in settings" if resume else "resume=True"):
        simulate_grid(RING, START, tmp_path, **(SETTINGS | {"seed": 1}), resume=resume)


def test_chunks_say_which_paths_they_hold(finished) -> None:
    paths = ("00000000-00000020", "00000020-00000040", "00000040-00000050")
    expected = {f"point000{point}-paths{held}.npz" for point in (0, 1) for held in paths}
    assert {chunk.name for chunk in finished.glob("*.npz")} == expected


CHUNK = "point0001-paths00000020-00000040.npz"


def foreign(folder: Path, name: str) -> bytes:
    return (folder / name).read_bytes()


def of_another_seed(folder: Path) -> bytes:
    simulate_grid(RING, START, folder / "other", **(SETTINGS | {"seed": 5}))
    return foreign(folder / "other", CHUNK)


def short(folder: Path) -> bytes:
    paths = Paths.load(folder / CHUNK)
    status, stopped = paths.status[:3], paths.stopped[:3]
    Paths(paths.times, paths.weights[:3], paths.unit, status, stopped).save(folder / "short")
    return foreign(folder, "short")


def flipped(folder: Path) -> bytes:
    content = bytearray(foreign(folder, CHUNK))
    content[len(content) // 2] ^= 1
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        lambda _: b"",
        lambda folder: foreign(folder, CHUNK)[:-40],
        lambda folder: foreign(folder, "point0001-paths00000000-00000020.npz"),
        lambda folder: foreign(folder, "point0000-paths00000020-00000040.npz"),
        of_another_seed,
        short,
        flipped,
    ],
    ids=["empty", "truncated", "range", "point", "seed", "short", "flipped"],
)
def test_a_chunk_that_is_not_its_own_is_done_again(
    content: Callable[[Path], bytes], finished, tmp_path, whole
) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "damaged"))
    (folder / CHUNK).write_bytes(content(folder))
    before = {p: p.stat().st_mtime_ns for p in folder.glob("point*") if p.name != CHUNK}
    assert_same(simulate_grid(RING, START, folder, **SETTINGS, resume=True), whole)
    assert all(p.stat().st_mtime_ns == time for p, time in before.items())


def test_a_chunk_that_was_damaged_since_is_not_read(finished, tmp_path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "damaged"))
    ensemble = simulate_grid(RING, START, folder, **SETTINGS, resume=True)
    (folder / CHUNK).write_bytes(foreign(folder, "point0000-paths00000020-00000040.npz"))
    assert [chunk.name for chunk in ensemble.missing()] == [CHUNK]
    with pytest.raises(SavedFileError, match="paths of another run"):
        _ = ensemble[1]


def test_an_ensemble_of_a_mean_over_samples(tmp_path) -> None:
    x, y = sp.symbols("x y", real=True)
    residual = w1 * x + w2 * x**2 - y

    def problem(values: list[int]) -> NoisyGradientDescent:
        data = {x: [1, 2], y: values}
        noisy = Mean((residual + eta) ** 2 / 2 - eta**2 / 2, data, eta)
        return NoisyGradientDescent(Mean(residual**2 / 2, data), noisy, (w1, w2), eta)

    settings = {"steps": 5, "paths": 3, "record": 2}
    ensemble = simulate_grid(
        problem([2, 3]), START, tmp_path, grid=[(0.01, 0.1)], seed=4, **settings
    )
    alone = simulate_descent(problem([2, 3]), START, alpha=0.01, sigma=0.1, seed=(4, 0), **settings)
    np.testing.assert_array_equal(ensemble[0].weights, alone.weights)
    with pytest.raises(EnsembleError, match="it differs in model"):
        simulate_grid(
            problem([2, 4]), START, tmp_path, grid=[(0.01, 0.1)], seed=4, **settings, resume=True
        )
