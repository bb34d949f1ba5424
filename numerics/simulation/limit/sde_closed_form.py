"""Steps of a limit in closed form, fused with their noise: the fast way for few weights.

A step is Euler's, followed by one Gauss-Newton step back to Γ, so paths stay within the order of
h² of Γ between the recorded times, where they are retracted to round-off. Weak order one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from derive import Gaussian, Limit
from derive.symbols import ScaleSymbol

from ...codegen.functions import content_of
from ...codegen.recursions import Recursion
from ...geometry.small_matrices import Array
from ...models.compiled_limit import CompiledLimit
from ...random.samplers import sampler_for
from ..runner import Run
from .sde import COLLAPSE, LEFT, Execution, Integers, Schedule

MOST_WEIGHTS = 4
"""Number of weights up to which a closed form is asked for."""

SPAN = ScaleSymbol("h", positive=True)
"""Length of a step."""


def euler_recursion(limit: Limit) -> Recursion | None:
    """The recursion w ← y − J⁺(y) F(y) with y = w + b(w) h + s(w) ΔB.

    None where the limit is not written in closed form, or has more than `MOST_WEIGHTS` weights.
    """
    if limit.problem.dimension > MOST_WEIGHTS:
        return None
    drift, diffusion = limit.drift, limit.diffusion
    if drift is None or diffusion is None or limit.manifold.frame is None:
        return None
    frame = limit.manifold.frame
    weights, manifold = limit.problem.weights, limit.manifold
    diffusion = _without_empty_columns(diffusion)
    noise = tuple(ScaleSymbol(f"xi{m}", real=True) for m in range(diffusion.cols))

    def update() -> list[Any]:
        kicks = [sum(s * x for s, x in zip(row, noise, strict=True)) for row in diffusion.tolist()]
        moved = [w + b * SPAN + kick for w, b, kick in zip(weights, drift, kicks, strict=True)]
        jacobian = frame.jacobian
        constraints = type(jacobian)([manifold.constraints[i] for i in manifold.independent])
        # Not the frame's J⁺, which has the form that is shortest on Γ and is used off it here.
        back = jacobian.T * ((jacobian * jacobian.T).inv(method="ADJ") * constraints)
        there = dict(zip(weights, moved, strict=True))
        return [y - step.xreplace(there) for y, step in zip(moved, back, strict=True)]

    return Recursion(
        name="limit_steps",
        state=weights,
        noise=noise,
        constants=(SPAN,),
        sampler=sampler_for(Gaussian(), noise),
        recorded=len(weights),
        update=update,
        content=content_of(drift, diffusion, frame.jacobian, manifold.constraints),
    )


def _without_empty_columns(diffusion: Any) -> Any:
    """The same diffusion, drawing no normals that it multiplies by zero."""
    columns = [m for m in range(diffusion.cols) if any(diffusion[:, m])]
    return diffusion.extract(list(range(diffusion.rows)), columns)


def diffuse_in_closed_form(
    fast: CompiledLimit,
    recursion: Recursion,
    start: Array,
    schedule: Schedule,
    execution: Execution,
) -> tuple[Array, Integers, Integers]:
    """Simulate with `euler_recursion`; arguments and results as for `diffusion.diffuse`.

    The schedule has steps of one length. The eigenvalues of H are looked at at recorded times.
    """
    steps = np.cumsum(schedule.counts)
    span = schedule.span
    run = Run(
        recursion=recursion,
        constants=(span,),
        sigma=float(np.sqrt(span)),
        times=steps,
        steps=int(steps[-1]),
        seed=execution.seed,
        first_path=execution.first_path,
        neighbourhood=None,
        threads=execution.threads,
    )
    weights, ends, stopped = run(start)
    status = ends.astype(np.int64)
    weights = fast.retract(weights)
    smallest = fast.spectrum(weights)[..., 0]
    # Written so that NaN counts as left.
    gone = ~(smallest > COLLAPSE * fast.spectrum(start)[:, :1])
    left = gone.any(axis=1) & (status == 0)
    status[left] = LEFT
    stopped[left] = steps[gone[left].argmax(axis=1)]
    stopped[np.isnan(start).any(axis=1)] = 0
    weights[np.logical_or.accumulate(gone, axis=1)] = np.nan
    return weights, status, stopped
