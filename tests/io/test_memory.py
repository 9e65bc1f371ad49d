"""An image that does not fit into memory is named."""

import pytest

from cellmm.errors import CellMMError
from cellmm.io.memory import check_memory, free_memory


def test_memory(monkeypatch):
    assert free_memory() is None or free_memory() > 0
    check_memory("a.tif", (10, 10), 10**9)  # small
    monkeypatch.setattr("cellmm.io.memory.free_memory", lambda: 2**30)
    check_memory("a.tif", (2**14, 2**13), 8)
    with pytest.raises(
        CellMMError, match=r"a\.tif of shape \(16384, 8192\) takes about 2\.0 GiB .* 1\.0 GiB are"
    ):
        check_memory("a.tif", (2**14, 2**13), 16)
    monkeypatch.setattr("cellmm.io.memory.free_memory", lambda: None)
    check_memory("a.tif", (2**14, 2**13), 16)
