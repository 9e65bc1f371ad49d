"""Masks go back to the pixels of the file: exact for whole-number maps, cut at the image."""

import numpy as np
import pytest

from cellmm.structures import masks_in_original_frame, rle


def put_back(probs, **options):
    defaults = dict(stride=1, img_shape=probs.shape[-2:], to_original=np.eye(3), ori_shape=probs.shape[-2:])
    masks, kept = masks_in_original_frame(probs.astype(np.float32), **dict(defaults, **options))
    return rle.decode(masks, dict(defaults, **options)["ori_shape"]), kept


def test_identity_and_crop_are_exact():
    probs = np.zeros((2, 6, 8))
    probs[0, 1:4, 2:5], probs[1, 0, 0] = 1, 1
    masks, kept = put_back(probs)
    assert np.array_equal(masks, probs > 0.5) and kept.tolist() == [0, 1]
    shift = np.array([[1, 0, 10], [0, 1, 20], [0, 0, 1]])
    masks, _ = put_back(probs, to_original=shift, ori_shape=(30, 25))
    assert np.array_equal(masks[:, 20:26, 10:18], probs > 0.5) and masks.sum() == 10


def test_stride_two_covers_the_two_by_two_blocks():
    probs = np.zeros((1, 4, 4))
    probs[0, 1:3, 1:3] = 1
    masks, _ = put_back(probs, stride=2, img_shape=(8, 8), ori_shape=(8, 8))
    expected = np.zeros((8, 8), bool)
    expected[2:6, 2:6] = True
    assert np.array_equal(masks[0], expected)
    border = np.zeros((1, 4, 4))
    border[0, :2, :] = 1
    masks, _ = put_back(border, stride=2, img_shape=(8, 8), ori_shape=(8, 8))
    assert masks[0, :4].all() and not masks[0, 4:].any()


def test_padding_and_what_lies_outside_the_file_are_cut_off():
    probs = np.ones((1, 8, 8))
    masks, _ = put_back(probs, img_shape=(5, 6), ori_shape=(20, 20))
    assert masks[0, :5, :6].all() and masks.sum() == 30
    left = np.array([[1, 0, -3], [0, 1, 0], [0, 0, 1]])
    masks, _ = put_back(probs, to_original=left, ori_shape=(8, 8))
    assert masks[0, :, :5].all() and masks.sum() == 40


def test_masks_without_a_pixel_are_dropped_with_their_index():
    probs = np.zeros((3, 4, 4))
    probs[1, 2, 2] = 0.9
    masks, kept = put_back(probs)
    assert kept.tolist() == [1] and masks.sum() == 1
    assert put_back(np.zeros((0, 4, 4)))[1].tolist() == []


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_resize_keeps_place_and_area(factor):
    yy, xx = np.mgrid[0:64, 0:64]
    disk = ((yy - 30) ** 2 + (xx - 36) ** 2 < 14**2).astype(float)[None]
    shift = (factor - 1) / 2
    matrix = np.array([[factor, 0, shift], [0, factor, shift], [0, 0, 1]])
    size = int(64 * factor)
    masks, _ = put_back(disk, to_original=matrix, ori_shape=(size, size))
    assert masks.sum() == pytest.approx(disk.sum() * factor**2, rel=0.05)
    centre = np.argwhere(masks[0]).mean(0)
    assert centre == pytest.approx([30 * factor + shift, 36 * factor + shift], abs=0.1)
