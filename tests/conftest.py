"""A cache of compiled code for these sources alone, and brute-force answers, each computed once."""

from __future__ import annotations

import gc
import hashlib
import os
import shutil
import signal
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

from derive import Limit, NoisyGradientDescent
from tests.truth import oracles
from tests.truth.catalogue import CATALOGUE, Entry
from tests.truth.fields import derived
from tests.truth.oracles import Array, Landscape, NoisyGradient

ROOT = Path(__file__).parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """Give the run a cache of compiled code that is named by the sources, and a processor each.

    So no test runs code of other sources, even if how the package names what it keeps is broken;
    and BLAS, in workers and in what they start, does not set many threads on each processor.
    """
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    # A shell that runs the tests in the background lets them ignore Ctrl-C, which some send.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sources = [p for name in ("derive", "numerics") for p in sorted((ROOT / name).rglob("*.py"))]
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in sources)).hexdigest()[:16]
    folder = ROOT / ".pytest_cache" / f"compiled-{digest}"
    os.environ["SINGULAR_LIMIT_CACHE"] = str(folder)
    for older in set(folder.parent.glob("compiled-*")) - {folder}:
        shutil.rmtree(older, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_collection() -> Generator[None, None, None]:
    """Collect tests without looking for garbage among half a million objects that all stay."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


@dataclass(frozen=True)
class BruteForce:
    """Everything the oracles say about one problem at one point w of Γ."""

    landscape: Landscape
    noisy: NoisyGradient
    w: Array
    alpha: float

    @cached_property
    def projector(self) -> Array:
        return self.landscape.projector(self.w)

    @cached_property
    def mean(self) -> Array:
        """∇Reg, up to what P removes."""
        return self.noisy.mean(self.w)

    @cached_property
    def sigma(self) -> Array:
        """Σ."""
        return self.noisy.covariance(self.w)

    @cached_property
    def second_derivative(self) -> Array:
        """D²Φ[Σ]."""
        return oracles.second_derivative(self.landscape.flow_end, self.w, self.sigma)

    @cached_property
    def finite_second_derivative(self) -> Array:
        """D²Φ_α[Σ]."""
        return oracles.second_derivative(
            lambda x: self.landscape.descent_end(x, self.alpha), self.w, self.sigma
        )

    @cached_property
    def flow(self) -> Array:
        """−P∇Reg."""
        return -self.projector @ self.mean

    @cached_property
    def diffusion_covariance(self) -> Array:
        """PΣP."""
        return self.projector @ self.sigma @ self.projector


def brute_force(
    problem: NoisyGradientDescent, guesses: Sequence[Sequence[float]], alpha: float = 0.1
) -> tuple[BruteForce, ...]:
    """Oracles at the points of Γ close to the guesses."""
    weights = problem.weights
    if problem.noise_matrix is None:
        step = [problem.noisy_loss.diff(w) for w in weights]
    else:
        noise = problem.noise_matrix * sp.Matrix(problem.noise)
        step = [problem.loss.diff(w) + extra for w, extra in zip(weights, noise, strict=True)]
    landscape = Landscape.of(problem.loss, weights)
    noisy = NoisyGradient.of(step, weights, problem.noise, problem.law)
    return tuple(
        BruteForce(landscape, noisy, landscape.retract(np.array(guess)), alpha) for guess in guesses
    )


@pytest.fixture(scope="session", params=CATALOGUE, ids=str)
def entry(request: pytest.FixtureRequest) -> Entry:
    """Each model of the catalogue in turn."""
    return request.param


@pytest.fixture(scope="session")
def truths(entry: Entry) -> tuple[BruteForce, ...]:
    """Brute force at the three points of the entry."""
    return brute_force(entry.problem, entry.guesses, entry.alpha)


@pytest.fixture(scope="session")
def limit(entry: Entry) -> Limit:
    """The derived limit of the entry."""
    return derived(entry.problem)
