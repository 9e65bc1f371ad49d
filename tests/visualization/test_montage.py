import cv2
import numpy as np
import pytest

from cellmm.visualization import caption, grid, save_picture


def plain(h, w, value):
    return np.full((h, w, 3), value, np.uint8)


def test_grid_places_pictures_row_by_row():
    page = grid([plain(10, 20, 100), plain(8, 16, 150), plain(10, 20, 200)], columns=2)
    assert page.shape == (26, 46, 3)  # two rows of 10 and two columns of 20, 6 between them
    assert (page[:10, :20] == 100).all() and (page[:8, 26:42] == 150).all() and (page[16:, :20] == 200).all()
    assert (page[:, 20:26] == page[0, 20]).all()
    assert grid([plain(3, 4, 9)], columns=5).shape == (3, 4, 3)


@pytest.mark.parametrize(("pictures", "columns"), [([], 1), ([plain(2, 2, 0)], 0)])
def test_grid_of_nothing(pictures, columns):
    with pytest.raises(ValueError, match="at least 1"):
        grid(pictures, columns)


def test_caption_keeps_the_picture_and_its_width():
    picture = plain(5, 120, 77)
    for text in ("worms", "a file name that is much longer than the picture is wide.tif"):
        labelled = caption(picture, text)
        assert labelled.shape == (27, 120, 3)
        assert (labelled[22:] == 77).all() and labelled[:22].max() > 200


def test_save_picture_writes_rgb_and_nothing_else(tmp_path):
    picture = plain(4, 5, 0)
    picture[..., 0] = 200  # red
    save_picture(tmp_path / "made" / "a.png", picture)
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["a.png"]
    read = cv2.imread(str(tmp_path / "made" / "a.png"))
    assert np.array_equal(read[..., ::-1], picture)
