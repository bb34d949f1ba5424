"""What a jump process says, as labelled statements."""

from __future__ import annotations

from ..rules.regimes.jump_process import JumpProcess
from .notation import Equality, Formula, Words, is_too_long
from .statements import Statement

GENERATOR = "f ↦ Σ_m ν_m [f(Φ_α(T(W, z_m))) − f(W) − Df P ∂_ηT(W, 0) z_m]"
TEX = (
    r"f \mapsto \sum_m \nu_m \left[ f(\Phi_\alpha(T(W, z_m))) - f(W)"
    r" - Df\, P\, \partial_\eta T(W, 0)\, z_m \right]"
)


def jump_statements(process: JumpProcess) -> list[Statement]:
    """The process in time t = kσ²: its generator, its jumps, its drift between them."""
    statements = [
        Statement(
            "limit",
            f"jump process on Γ at α = {process.step}, in time t = k·sigma**2",
            (Words("jump process on Γ in time"), Formula((r"t = k\sigma^2",))),
        ),
        Statement("generator", GENERATOR, (Formula((TEX,)),)),
    ]
    for m, (rate, landing) in enumerate(zip(process.rates, process.landings, strict=True), 1):
        shown = "… (long)" if is_too_long(landing) else str(list(landing))
        statements.append(
            Statement(
                f"jump {m}",
                f"at rate {rate}: from W to the end of descent from {shown}",
                (Formula((rf"\nu_{{{m}}} = ", rate)), Equality(f"T(w, z_{{{m}}})", landing)),
            )
        )
    drift = process.drift
    if drift is not None and any(drift):
        text = f"b = {list(drift)}"
        statements.append(Statement("drift between jumps", text, (Equality("b", drift),)))
    return statements
