"""Other ways to run a model or limit: C, NumPy, JAX, diffrax; each a function of (paths, steps)."""

from __future__ import annotations

import ctypes
import importlib.util
import math
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.models import Equation, Model

Runner = Callable[[int, int], object]

FLAGS = ("-O3", "-march=native", "-ffast-math", "-fPIC", "-shared")


def c_kernel(name: str, start: np.ndarray, alpha: float, sigma: float) -> Runner:
    """The reference kernel in `reference/`, one thread."""
    source = Path(__file__).parent / "reference" / f"{name}.c"
    library = Path(tempfile.mkdtemp()) / f"{name}.so"
    subprocess.run(["gcc", *FLAGS, str(source), "-o", str(library), "-lm"], check=True)
    kernel = ctypes.CDLL(str(library)).run_block32
    start = np.ascontiguousarray(start)

    def run(paths: int, steps: int) -> np.ndarray:
        out = np.empty((paths, len(start)))
        kernel(
            ctypes.c_long(paths),
            ctypes.c_long(steps),
            ctypes.c_double(alpha),
            ctypes.c_double(sigma),
            start.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_uint64(1),
            out.ctypes.data_as(ctypes.c_void_p),
        )
        return out

    return run


@dataclass(frozen=True)
class Recursion:
    """One step by hand, (array module, weights (N, paths), normals (d, paths)) → (N, paths)."""

    step: Callable[[Any, Any, Any], Any]
    start: np.ndarray
    noise: int


def recursion_of(model: Model | Equation) -> Recursion:
    """The noisy gradient descent of a model, or the Euler-Maruyama steps of an equation."""
    if isinstance(model, Equation):
        span = model.span

        def move(xp: Any, w: Any, normals: Any) -> Any:
            return w + span * model.drift(xp, w) + model.kick(xp, w, math.sqrt(span) * normals)

        return Recursion(move, model.start, model.noise)

    def descend(xp: Any, w: Any, normals: Any) -> Any:
        return w - model.alpha * model.gradient(xp, w, model.sigma * normals)

    return Recursion(descend, model.start, len(model.problem().noise))


def numpy_by_hand(recursion: Recursion) -> Runner:
    """Vectorised over paths, with NumPy's generator."""
    rng = np.random.default_rng(0)

    def run(paths: int, steps: int) -> np.ndarray:
        w = np.repeat(recursion.start[:, None], paths, axis=1)
        for _ in range(steps):
            w = recursion.step(np, w, rng.standard_normal((recursion.noise, paths)))
        return w

    return run


def jax_scan(recursion: Recursion) -> Runner | None:
    """`lax.scan` over the steps, compiled, in double precision; None where JAX is missing."""
    if importlib.util.find_spec("jax") is None:
        return None
    import jax

    jax.config.update("jax_enable_x64", True)

    def step(w, key):
        normals = jax.random.normal(key, (recursion.noise, w.shape[1]))
        return recursion.step(jax.numpy, w, normals), None

    @jax.jit
    def scan(w, keys):
        return jax.lax.scan(step, w, keys)[0]

    def run(paths: int, steps: int) -> object:
        w = np.repeat(recursion.start[:, None], paths, axis=1)
        return scan(w, jax.random.split(jax.random.key(0), steps)).block_until_ready()

    return run


def diffrax_euler(equation: Equation) -> Runner | None:
    """`diffrax.Euler` with its fast Brownian path; None where diffrax is missing."""
    if importlib.util.find_spec("diffrax") is None:
        return None
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    units = jnp.eye(equation.noise)

    def drift(_, w, __):
        return equation.drift(jnp, w[:, None])[:, 0]

    def diffusion(_, w, __):
        return equation.kick(jnp, jnp.repeat(w[:, None], equation.noise, axis=1), units)

    def one(key, time):
        path = diffrax.UnsafeBrownianPath(shape=(equation.noise,), key=key)
        terms = diffrax.MultiTerm(diffrax.ODETerm(drift), diffrax.ControlTerm(diffusion, path))
        return diffrax.diffeqsolve(
            terms,
            diffrax.Euler(),
            0.0,
            time,
            equation.span,
            jnp.asarray(equation.start),
            max_steps=None,
            adjoint=diffrax.DirectAdjoint(),
        ).ys

    solve = jax.jit(jax.vmap(one, in_axes=(0, None)))

    def run(paths: int, steps: int) -> object:
        keys = jax.random.split(jax.random.key(0), paths)
        return solve(keys, steps * equation.span).block_until_ready()

    return run
