"""An atlas of published limits: each stated, derived anew, compared, and measured where affordable.

Run `python -m worked_examples.atlas` in the repository's root for the page; `entry.Entry` says what
an entry holds.
"""

from . import adaptive, gradient_noise, optimizers, sharpness, tilts

ENTRIES = (
    *gradient_noise.ENTRIES,
    *optimizers.ENTRIES,
    *adaptive.ENTRIES,
    *sharpness.ENTRIES,
    *tilts.ENTRIES,
)
