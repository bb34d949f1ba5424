"""What the picture of matrix sensing shows, at small size."""

import matrix_sensing
import numpy as np


def test_label_noise_finds_the_low_rank_matrix_and_the_limit_says_when():
    """d = 8, n = 18 of 36: the recursion follows the finite-step limit, and without noise stays."""
    sensing = matrix_sensing.Sensing.random(d=8, rank=1, n=18)
    alpha, times = 0.02, np.array([0.0, 0.25, 0.5])
    iterations = np.round(times / (alpha**2 * matrix_sensing.VARIANCE)).astype(int)
    quiet = matrix_sensing.recursion(sensing, np.array([3000]), alpha, 0.0)
    noisy = matrix_sensing.recursion(sensing, iterations, alpha, matrix_sensing.VARIANCE)
    finite, vanishing = (
        matrix_sensing.limit(sensing, quiet.last, times, alpha, finite=f) for f in (True, False)
    )
    assert quiet.training[-1] < 1e-20
    assert quiet.test[-1] > 5
    assert noisy.test[-1] < quiet.test[-1] / 40
    # One run: fluctuations about Γ, of the size of the training error, are a few percent here.
    np.testing.assert_allclose(noisy.test[1:], finite.test[1:], rtol=0.05)
    assert abs(noisy.test[-1] / vanishing.test[-1] - 1) > 0.1  # a bias of order αλ, as it should
    # The rank of J falls along the way, in the recursion as in the limit.
    np.testing.assert_allclose(noisy.smallest[1:], finite.smallest[1:], rtol=0.05)
    assert finite.smallest[-1] < finite.smallest[0] / 5
