"""DecoNet for prediction: the same masks with half of the products."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.models.layers.deco_net import DecoNet
from cellmm.models.layers.fused import UpsampledConv, tail_of
from cellmm.models.layers.patches import add_patches, cut_patches, write_patches

BLOCK = 16  # side of the pieces in which the last level is computed
DOUBT = 0.2  # a mask goes on where its probability is higher: MaskQuality counts pixels down to this one
EMPTY = -30.0  # logit of pixels that no block holds


class FusedDecoNet(nn.Module):
    """A DecoNet with ``padding='same'`` and ``upsample='nearest'``, its norms folded, that cannot learn.

    - F and the stem look only at the gateway: everywhere else F x gate is zero and the stem gives a constant.
    - What is upsampled is convolved before (UpsampledConv).
    - The last level, nearly half of all products, is computed in blocks, from those of the gateway on and
      wherever the mask goes on beyond a block. A piece of the mask that no chain of blocks joins to the
      gateway is not drawn.

    Args:
        features: the 1x1 convolution that makes F of the finest map.
        net: as ``fits`` says; its layers become part of this one.
    """

    def __init__(self, features: nn.Conv2d, net: DecoNet) -> None:
        super().__init__()
        self.features, self.fine_skip = features, net.fine_skip
        self.pool, self.logits = net.pool, net.logits
        self.stem, self.stem_tail = net.stem[0], tail_of(net.stem)
        entry = net.down[0][0]
        own = self.stem.out_channels
        form = dict(memory_format=torch.channels_last)
        weight = entry[0].weight.detach()
        self.own_weight = nn.Parameter(weight[:, :own].contiguous(**form), requires_grad=False)
        self.skip_weight = nn.Parameter(weight[:, own:].contiguous(**form), requires_grad=False)
        self.entry_bias, self.entry_tail = entry[0].bias, tail_of(entry)
        self.down = nn.ModuleList([tail_of(net.down[0]), *net.down[1:]])
        self.up, self.up_tails = nn.ModuleList(), nn.ModuleList(map(tail_of, net.up))
        for upsample, level in zip(net.upsamples, net.up, strict=True):
            low = upsample.out_channels
            self.up.append(UpsampledConv(level[0], slice(0, low), slice(low, None)))
        depth = len(net.up[-1])
        self.halo = depth + depth % 2  # pixels around a block that its convolutions see, an even number

    @staticmethod
    def fits(net: nn.Module) -> bool:
        """Whether ``net`` has this form, after ``fold_norms``."""
        return (
            isinstance(net, DecoNet)
            and net.padded
            and all(upsample.up.__class__ is nn.Upsample for upsample in net.upsamples)
            and not any(isinstance(layer, nn.GroupNorm) for layer in net.modules())
        )

    def forward(
        self,
        fine: Tensor,
        skips: list[Tensor],
        image: Tensor,
        first: Tensor,
        gates: Tensor,
        least: float,
        shared: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """K windows.

        Args:
            fine: the finest map of the batch, (B, C, H, W).
            skips: windows of the coarser maps, as ``DecoNet.forward`` takes them; may be empty.
            image: the image of each window, int64 (K,).
            first: first pixel of each window on F, int64 (K, 2).
            gates: open pixels, bool (K, h, w).
            least: probability down to which masks are drawn.
            shared: ``share`` of map 1 of the only image of these windows; None: each is convolved apart.

        Returns:
            mask logits (K, h, w), float32, and the coarsest maps.
        """
        background = None
        if shared is not None:
            background = self._cut_shared(shared, skips[0], first // 2)
        elif skips:
            background = F.conv2d(skips[0], self.skip_weight, padding=1)
        x = self._enter(fine, background, image, first, gates)
        own = []
        for i, level in enumerate(self.down):
            if i:
                x = self.pool(x)
                x = torch.cat([x, skips[i]], 1) if skips else x
            x = level(x)
            own.append(x)
        coarsest = own.pop()
        for joined, tail in zip(self.up[:-1], self.up_tails[:-1], strict=True):
            x = tail(joined(x, own.pop()))
        return self._draw(x, fine, image, first, gates, least), coarsest

    def share(self, coarse: Tensor) -> Tensor:
        """What map 1 of an image, (1, C, H, W), gives to the first convolution, for all windows at once. It
        pays where the windows together are larger than the map."""
        return F.conv2d(coarse, self.skip_weight, padding=1)

    def _cut_shared(self, shared: Tensor, skip: Tensor, first: Tensor) -> Tensor:
        """Windows of ``shared``; their outermost pixels anew, since a window is padded where it ends."""
        height, width = skip.shape[-2:]
        out = cut_patches(shared, torch.zeros_like(first[:, 0]), first, (height, width))
        for axis, side in ((2, height), (3, width)):
            for start, last in ((0, 0), (side - 2, 1)):
                edge = F.conv2d(skip.narrow(axis, start, 2), self.skip_weight, padding=1)
                out.narrow(axis, start + last, 1).copy_(edge.narrow(axis, last, 1))
        return out

    def _enter(
        self, fine: Tensor, background: Tensor | None, image: Tensor, first: Tensor, gates: Tensor
    ) -> Tensor:
        """The stem and the first convolution of the way down: (K, C, h / 2, w / 2)."""
        num, height, width = gates.shape
        low, side = _around_gates(gates)
        patch = torch.stack([2 * low[:, 0] - 2, 2 * low[:, 1] - 2], 1)
        size = (2 * side[0] + 3, 2 * side[1] + 3)
        which = torch.arange(num, device=fine.device)
        opened = cut_patches(gates[:, None], which, patch, size)
        x = self.features(cut_patches(fine, image, first + patch, size)) * opened
        closed = self.stem_tail(self.stem.bias[None, :, None, None].clone())
        change = self.stem_tail(F.conv2d(x, self.stem.weight, self.stem.bias, stride=2)) - closed
        constant = closed.expand(-1, -1, height // 2, width // 2)
        out = F.conv2d(constant, self.own_weight, self.entry_bias, padding=1)
        if background is None:
            out = out.repeat(num, 1, 1, 1).contiguous(memory_format=torch.channels_last)
        else:
            out = background.add_(out)
        change = F.conv2d(change, self.own_weight, padding=2)
        add_patches(out, change, low - 1)
        return self.entry_tail(out)

    def _draw(
        self, x: Tensor, fine: Tensor, image: Tensor, first: Tensor, gates: Tensor, least: float
    ) -> Tensor:
        """The last level and the logits, block by block: (K, h, w)."""
        num, height, width = gates.shape
        threshold = math.log(least / (1 - least))
        shape = torch.tensor([height, width], device=x.device)
        block = [min(BLOCK, side) for side in (height, width)]
        size = [min(BLOCK + 2 * self.halo, side) for side in (height, width)]
        start_max, part_max = shape - shape.new_tensor(block), shape - shape.new_tensor(size)
        logits = x.new_full((num, 1, height, width), EMPTY, dtype=torch.float32)
        todo = _blocks(gates[:, None].float())
        done = torch.zeros_like(todo)
        while todo.any():
            window, row, col = todo[:, 0].nonzero().unbind(1)
            start = torch.minimum(BLOCK * torch.stack([row, col], 1), start_max)
            part = torch.minimum((start - self.halo).clamp(min=0), part_max)
            low = cut_patches(x, window, part // 2, [side // 2 for side in size])
            skip = None
            if self.fine_skip:
                skip = cut_patches(fine, image[window], first[window] + part, size)
            drawn = self.logits(self.up_tails[-1](self.up[-1](low, skip))).float()
            drawn = cut_patches(drawn, torch.arange(len(window), device=x.device), start - part, block)
            write_patches(logits, drawn, window, start)
            done |= todo
            todo = _blocks((logits > threshold).float()) & ~done
        return logits[:, 0]


def _around_gates(gates: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Where the stem sees something of the open pixels, bool (K, h, w), on its own grid of half the size.

    -> first row and column for each of the K, int64 (K, 2), and rows and columns, the same for all.
    """
    first, sides = [], []
    for axis in (2, 1):
        line, half = gates.any(axis), gates.shape[3 - axis] // 2
        low = line.int().argmax(1)
        high = line.shape[1] - 1 - line.flip(1).int().argmax(1)
        low, high = (low - 2).clamp(min=0) // 2, ((high + 2) // 2).clamp(max=half - 1)
        side = int((high - low).max()) + 1 if len(low) else half
        first.append(low.clamp(max=half - side))
        sides.append(side)
    return torch.stack(first, 1), (sides[0], sides[1])


def _blocks(pixels: Tensor) -> Tensor:
    """Which blocks hold a nonzero pixel or have one next to them: float (K, 1, h, w) -> bool (K, 1, r, c)."""
    height, width = pixels.shape[-2:]
    pixels = F.pad(pixels, (1, -width % BLOCK + 1, 1, -height % BLOCK + 1))
    return F.max_pool2d(pixels, BLOCK + 2, BLOCK) > 0
