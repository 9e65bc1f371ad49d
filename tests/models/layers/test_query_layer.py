"""Masked attention, and the layer of queries that is built on it."""

import pytest
import torch

from cellmm.models.layers import MaskedAttention, QueryLayer, seen_through, sine_code


def attend(seen, num=5, dim=8):
    torch.manual_seed(0)
    layer, queries, pixels = MaskedAttention(dim, 2), torch.randn(2, num, dim), torch.randn(2, 12, dim)
    return layer, queries, pixels, layer(queries, pixels, pixels, seen)


def test_an_open_mask_is_dense_attention():
    *_, dense = attend(None)
    *_, masked = attend(torch.ones(1, 5, 12, dtype=torch.bool))
    torch.testing.assert_close(masked, dense)


def test_it_is_softmax_attention_by_hand():
    seen = torch.rand(2, 5, 12, generator=torch.Generator().manual_seed(1)) > 0.5
    assert seen.any(-1).all() and not seen.all()
    layer, queries, pixels, found = attend(seen)
    parts = []
    for head in range(2):
        q, k, v = (
            part(x)[..., 4 * head : 4 * head + 4]
            for part, x in ((layer.query, queries), (layer.key, pixels), (layer.value, pixels))
        )
        scores = (q @ k.transpose(1, 2) / 2).masked_fill(~seen, -torch.inf)
        parts.append(scores.softmax(-1) @ v)
    torch.testing.assert_close(found, layer.out(torch.cat(parts, -1)))


def test_pixels_that_are_not_seen_change_nothing():
    seen = torch.arange(12) < 4
    layer, queries, pixels, found = attend(seen.expand(1, 5, 12))
    pixels[:, 4:] = 100
    torch.testing.assert_close(layer(queries, pixels, pixels, seen.expand(1, 5, 12)), found)


def test_an_empty_mask_is_opened():
    """Blocked where the probability is below a half; a mask of nothing sees all, and gives no NaN."""
    logits = torch.tensor([[-1.0, 0.0, 2.0, -3.0], [-1.0, -2.0, -1e-3, -4.0]]).view(1, 2, 2, 2)
    seen = seen_through(logits)
    assert seen.tolist() == [[[False, True, True, False], [True] * 4]]
    layer = QueryLayer(8, 2, 16)
    queries, pixels = torch.randn(1, 2, 8, requires_grad=True), torch.randn(1, 4, 8, requires_grad=True)
    out = layer(queries, torch.zeros(1, 2, 8), pixels, torch.zeros(1, 4, 8), seen)
    out.square().sum().backward()
    assert out.isfinite().all() and queries.grad.isfinite().all() and pixels.grad[0, 3].any()


def test_queries_of_other_groups_change_nothing():
    torch.manual_seed(0)
    layer, pixels, zeros = QueryLayer(8, 2, 16), torch.randn(1, 6, 8), torch.zeros(1, 4, 8)
    groups = torch.tensor([0, 0, 1, 1])
    together = (groups[:, None] == groups)[None]
    queries = torch.randn(1, 4, 8)
    found = layer(queries, zeros, pixels, torch.zeros(1, 6, 8), None, together)
    queries[:, 2:] += 1
    other = layer(queries, zeros, pixels, torch.zeros(1, 6, 8), None, together)
    torch.testing.assert_close(other[:, :2], found[:, :2])
    assert not torch.allclose(other[:, 2:], found[:, 2:])


def test_codes_of_positions():
    places = torch.linspace(-1, 1, 65)[:, None]
    code = sine_code(places, 16)
    assert code.shape == (65, 16)
    torch.testing.assert_close(code.square().sum(1), torch.full((65,), 8.0))
    torch.testing.assert_close(code[32], torch.tensor([0.0] * 8 + [1.0] * 8))  # sines and cosines of 0
    near, far = (code[32] * code[i] for i in (33, 64))
    assert near.sum() > far.sum()
    with pytest.raises(ValueError, match="dim must be a multiple of 8, got 12"):
        sine_code(torch.zeros(1, 4), 12)
