"""How much of a model learns."""

from torch import nn

from cellmm.engine.frozen import describe_frozen, thawed


def test_counts():
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), nn.Linear(2, 1000))
    model[0].requires_grad_(False)
    assert describe_frozen(model, ["0"]) == (
        "frozen: 0: 10 of 3,010 parameters stay as they are, 3,000 learn; batch norms that keep their "
        "statistics: 1"
    )


def test_thawed_for_a_while_only():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model.frozen = ("0",)
    model[0].requires_grad_(False)
    with thawed(model):
        assert all(parameter.requires_grad for parameter in model.parameters())
    assert [parameter.requires_grad for parameter in model.parameters()] == [False, False, True, True]
    with thawed(nn.Linear(1, 1)):
        pass
