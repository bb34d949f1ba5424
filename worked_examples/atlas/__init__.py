"""An atlas of published limits: each stated, derived anew, compared, and measured where affordable.

Run `python -m worked_examples.atlas` from the folder above for the page; see `entry.Entry` for what
an entry holds.
"""

from . import gradient_noise, optimizers, sharpness

ENTRIES = (*gradient_noise.ENTRIES, *optimizers.ENTRIES, *sharpness.ENTRIES)
