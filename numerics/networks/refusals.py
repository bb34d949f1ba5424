"""What formulas have and a program has not: refused by name, with what there is instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from derive import NotCoveredError

Owner = TypeVar("Owner")

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


def refuses(formulas: type) -> Callable[[type[Owner]], type[Owner]]:
    """Give a dataclass the attributes of another class that it lacks, each refused by its name."""

    def complete(owner: type[Owner]) -> type[Owner]:
        names = {*dir(formulas), *_fields(formulas)} - {*dir(owner), *_fields(owner)}
        for name in names:
            if not name.startswith("_"):
                setattr(owner, name, property(partial(_refuse, name)))
        return owner

    return complete


def _fields(kind: Any) -> Iterable[str]:
    """Names of the fields of a class, if it is a dataclass."""
    return getattr(kind, "__dataclass_fields__", ())


def _refuse(name: str, _: Any) -> None:
    instead = INSTEAD.get(name, "ask derive_limit for it of a small model of the same kind")
    raise NotCoveredError(
        f"{name}: this takes formulas, and a network is a program without them; {instead}"
    )
