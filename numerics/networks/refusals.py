"""What formulas have and a program has not: refused by name, with what there is instead."""

from __future__ import annotations

from typing import Any

from derive import Limit, NoisyGradientDescent, NotCoveredError

INSTEAD = {
    "save": "keep the parameters (numpy.savez) and derive the limit of the network again",
    "to": "its drift, diffusion and projector are functions of the parameters already",
    "subs": "it holds no symbols; state another network",
    "certificate": "its verdicts are numerical, with what they rest on in limit.evidence",
    "jump_process": "at_step has the next order in α; a small model written as formulas has it",
    "effective": "derive_limit(network).at_step(alpha) is the limit at that step size",
    "regularizer_on_manifold": "limit.regularizer(params) is its value",
}
"""What a user of a network can do instead."""


def of_a_limit(limit: Any, name: str) -> Any:
    """An attribute that the limit of a network does not have."""
    return _refused(limit, name, Limit)


def of_a_problem(network: Any, name: str) -> Any:
    """An attribute that a network does not have."""
    return _refused(network, name, NoisyGradientDescent)


def _refused(owner: Any, name: str, formulas: type) -> Any:
    """Raise what says that an attribute takes formulas, or that there is none of the name."""
    known = {*dir(formulas), *getattr(formulas, "__dataclass_fields__", ())}
    if name.startswith("_") or name not in known or hasattr(type(owner), name):
        # The error of a property of its own is the one that is seen.
        return object.__getattribute__(owner, name)
    instead = INSTEAD.get(name, "ask derive_limit for it of a small model of the same kind")
    raise NotCoveredError(
        f"{name}: this takes formulas, and a network is a program without them; {instead}"
    )
