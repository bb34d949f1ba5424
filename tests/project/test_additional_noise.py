"""The example that additional noise is required: what its picture rests on."""

from __future__ import annotations

import additional_noise_is_required as example

from derive import alpha, sigma


def test_each_noise_has_its_outcome_and_its_time_scale() -> None:
    fast, slow = 1 / (alpha * sigma**2), 1 / (alpha**2 * sigma**2)
    found = {name: (x.outcome.value, x.time_scale) for name, x in example.limits().items()}
    assert found == {
        "minibatches alone": ("frozen", None),
        "and dropout": ("non-degenerate", fast),
        "and label noise": ("deterministic", slow),
        "and Langevin noise": ("diffusive", slow),
    }
