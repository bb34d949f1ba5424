"""Rows of lanes start on a cache line, wherever the memory is that they are given."""

import numpy as np
import pytest
from numba import njit

from numerics.random.lanes import CACHE_LINE, LANES, on_a_cache_line, rows


@njit
def moved(array: np.ndarray) -> np.ndarray:
    return on_a_cache_line(array)


@njit
def filled(count: int, value: float) -> np.ndarray:
    made = rows(count)
    made[:] = value
    return made


@pytest.mark.parametrize("offset", range(8))
def test_an_array_moves_up_to_the_next_cache_line(offset: int) -> None:
    room = np.zeros(64)
    given = room[offset:32]
    there = moved(given)
    distance = there.ctypes.data - given.ctypes.data
    assert there.ctypes.data % CACHE_LINE == 0
    assert 0 <= distance < CACHE_LINE
    there[:] = 1.0
    first = offset + distance // 8
    np.testing.assert_array_equal(np.flatnonzero(room), np.arange(first, first + len(given)))


def test_rows_keep_their_memory() -> None:
    made = [filled(count, float(count)) for count in range(1, 40)]
    for count, array in enumerate(made, start=1):
        assert array.shape == (count, LANES)
        assert array.ctypes.data % CACHE_LINE == 0
        assert (array == count).all()
