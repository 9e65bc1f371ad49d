import pytest

from cellmm.datasets.folders.groups import groups_of


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (["x/B03_s1", "x/B03_s2", "x/C04_s1"], ["B03", "B03", "C04"]),
        (["film_t000", "film_t001"], ["film", "film"]),
        (["A172_Phase_A7_1_00d00h00m_1", "A172_Phase_A7_1_01d08h00m_2"], ["A172_Phase_A7_1"] * 2),
        (["day1/images/a", "day1/images/b", "day2/images/a"], ["day1", "day1", "day2"]),
        (["day1/a_s1", "day1/a_s2", "day2/a_s1"], ["day1/a", "day1/a", "day2/a"]),
        (["ctrl_1", "ctrl_2", "drug_1", "drug_2"], ["ctrl_1", "ctrl_2", "drug_1", "drug_2"]),
        (
            [f"patient{i}_{k}" for i in range(5) for k in range(2)],
            [f"patient{i}" for i in range(5) for _ in range(2)],
        ),
        (["1", "2", "3"], ["1", "2", "3"]),
        (["t000", "t001"], ["t000", "t001"]),
    ],
)
def test_images_of_one_acquisition_are_a_group(names, groups):
    assert groups_of(names) == groups
