"""Checks of arguments."""

import pytest

from cellmm.checks import check_share, check_whole


def test_whole_numbers_and_shares():
    check_whole(1, a=1, b=(2, 3), c=None)
    check_share(a=0, b=1.0, c=None)
    for value in (0, 1.0, (), (2, 0)):
        with pytest.raises(ValueError, match="^a must be 1 or more, a whole number, got"):
            check_whole(1, a=value)
    for value in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="^a must be from 0 to 1, got"):
            check_share(a=value)
