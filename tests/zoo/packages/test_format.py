from cellmm.zoo.packages.format import flat_arguments, flatten, under, unflatten


def test_nested_tensors_by_names_and_back():
    value = dict(stages=[dict(a=1), dict(a=2)], basis=3)
    leaves = flatten(value, "head.out")
    assert leaves == {"head.out.stages.0.a": 1, "head.out.stages.1.a": 2, "head.out.basis": 3}
    assert unflatten(under(leaves, "head.out")) == value
    assert unflatten(under(flatten(7, "head.out"), "head.out")) == 7


def test_names_that_begin_alike_are_kept_apart():
    assert under({"a.x": 1, "ab.x": 2, "a": 3}, "a") == {"x": 1, "": 3}


def test_lists_among_arguments():
    assert flat_arguments([1, [2, 3], 4]) == [1, 2, 3, 4]
