"""Other ways to run a model: hand-written C, NumPy and JAX; each a function of (paths, steps)."""

from __future__ import annotations

import ctypes
import importlib.util
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.benchmarks.models import Model

Runner = Callable[[int, int], object]

FLAGS = ("-O3", "-march=native", "-ffast-math", "-fPIC", "-shared")


def c_kernel(model: Model) -> Runner:
    """The reference kernel in `reference/`, one thread."""
    source = Path(__file__).parent / "reference" / f"{model.name}.c"
    library = Path(tempfile.mkdtemp()) / f"{model.name}.so"
    subprocess.run(["gcc", *FLAGS, str(source), "-o", str(library), "-lm"], check=True)
    kernel = ctypes.CDLL(str(library)).run_block32
    start = np.ascontiguousarray(model.start)

    def run(paths: int, steps: int) -> np.ndarray:
        out = np.empty((paths, len(start)))
        kernel(
            ctypes.c_long(paths),
            ctypes.c_long(steps),
            ctypes.c_double(model.alpha),
            ctypes.c_double(model.sigma),
            start.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_uint64(1),
            out.ctypes.data_as(ctypes.c_void_p),
        )
        return out

    return run


def numpy_by_hand(model: Model) -> Runner:
    """Vectorised over paths, with NumPy's generator."""
    rng = np.random.default_rng(0)
    dimension = len(model.problem().noise)

    def run(paths: int, steps: int) -> np.ndarray:
        w = np.repeat(model.start[:, None], paths, axis=1)
        for _ in range(steps):
            noise = model.sigma * rng.standard_normal((dimension, paths))
            w = w - model.alpha * model.gradient(np, w, noise)
        return w

    return run


def jax_scan(model: Model) -> Runner | None:
    """`lax.scan` over the steps, compiled, in double precision; None where JAX is missing."""
    if importlib.util.find_spec("jax") is None:
        return None
    import jax

    jax.config.update("jax_enable_x64", True)
    dimension = len(model.problem().noise)

    def step(w, key):
        noise = model.sigma * jax.random.normal(key, (dimension, w.shape[1]))
        return w - model.alpha * model.gradient(jax.numpy, w, noise), None

    @jax.jit
    def scan(w, keys):
        return jax.lax.scan(step, w, keys)[0]

    def run(paths: int, steps: int) -> object:
        w = np.repeat(model.start[:, None], paths, axis=1)
        return scan(w, jax.random.split(jax.random.key(0), steps)).block_until_ready()

    return run
