"""The search space: what is read, drawn and narrowed, and what is refused."""

import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.tuning.space import Parameter, read_space, read_space_file

SPACE = {
    "optim_wrapper.optimizer.lr": "log 1e-5 1e-2",
    "model.dropout": "float 0 0.5",
    "train_dataloader.batch_size": "int 1 8",
    "model.width": "logint 4 64",
    "model.norm": ["batch", None, dict(type="group", groups=4)],
}


def test_draws_stay_inside_and_reach_all():
    rng = np.random.default_rng(0)
    rate, dropout, batch, width, norm = read_space(SPACE, "space.yml")
    rates = np.array([rate.draw(rng) for _ in range(2000)])
    assert 1e-5 <= rates.min() < 2e-5 and 5e-3 < rates.max() <= 1e-2
    assert np.mean(rates < 10**-3.5) == pytest.approx(0.5, abs=0.05)  # uniform in the logarithm
    assert 0 <= min(dropout.draw(rng) for _ in range(99)) < 0.1
    assert {batch.draw(rng) for _ in range(500)} == set(range(1, 9))
    widths = [width.draw(rng) for _ in range(2000)]
    assert (min(widths), max(widths)) == (4, 64) and np.median(widths) < 20
    assert [norm.value(choice) for choice in norm.choices] == SPACE["model.norm"]


def test_narrowed_ranges():
    rate, dropout, batch, _, norm = read_space(SPACE, "space.yml")
    assert rate.around([1e-4, 1e-3, 3e-4]) == Parameter(rate.key, low=1e-4, high=1e-3, log=True)
    one = rate.around([1e-3, 1e-3])  # a tenth of three decades
    assert one.high / one.low == pytest.approx(10**0.3) and one.low < 1e-3 < one.high
    edge = dropout.around([0.5])
    assert (edge.low, edge.high) == (0.475, 0.5)
    few = batch.around([3])
    assert (few.low, few.high) == (2, 4)
    assert norm.around([norm.choices[1], norm.choices[1]]).choices == ("null",)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("log 1e-5", "'log 1e-5' is none of"),
        ("log 1 two", "is none of"),
        ("uniform 1 2", "is none of"),
        (0.5, "0.5 is none of"),
        ("log 0 1", "a logarithm needs numbers above 0"),
        ("float 2 1", "has to be below the second"),
        ("float 0 inf", "both finite"),
        ("int 1.5 2", "whole numbers are needed"),
        ([3], "two or more different values"),
        ([3, 3], "two or more different values"),
    ],
)
def test_what_is_refused(form, message):
    with pytest.raises(CellMMError, match=message) as error:
        read_space({"model.x": form}, "space.yml")
    assert str(error.value).startswith("space.yml: model.x")


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: b: c"])
def test_files_that_are_refused(tmp_path, text):
    (tmp_path / "space.yml").write_text(text)
    with pytest.raises(CellMMError, match="space.yml"):
        read_space_file(tmp_path / "space.yml")
    with pytest.raises(CellMMError, match="absent.yml"):
        read_space_file(tmp_path / "absent.yml")
