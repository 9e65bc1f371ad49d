"""The weights that a training starts from: what fits the model is loaded, and what does not is said."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from cellmm.engine.checkpoints.fit import check_finite
from cellmm.errors import CellMMError
from cellmm.messages import name_some
from cellmm.models.renamed_keys import with_new_names

SHOWN = 3  # names in a line of the log
FEW = 0.5  # of the model's parameters: with fewer from the file, most of what it knows is lost


@dataclass(frozen=True)
class StartWeights:
    """What a model takes from a file.

    Args:
        weights: the tensors that fit, under the names of the model.
        parameters: how many numbers of the model's parameters they fill, and how many it has.
        tensors: how many tensors the model has.
        new: {why: names of the model's tensors that begin anew}.
        left_out: names of the file's tensors for which the model has no place.
        channels: of the images, in the file and here, where weights were made for the new number.
    """

    weights: dict[str, Tensor]
    parameters: tuple[int, int]
    tensors: int
    new: dict[str, list[str]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    channels: tuple[int, int] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the file is of this very model."""
        return not self.new and not self.left_out and self.channels is None

    def lines(self) -> Iterator[str]:
        """What was loaded, and what was not, with the reason."""
        filled, total = self.parameters
        all_of = "all" if len(self.weights) == self.tensors else f"{len(self.weights)} of"
        few = filled < FEW * total
        hint = "; to keep more, take the config that it was trained with as _base_" if few else ""
        yield (
            f"training starts from {all_of} {self.tensors} tensors of the model "
            f"({filled:,} of {total:,} parameters){hint}"
        )
        if self.channels is not None:
            yield _of_channels(*self.channels)
        for why, names in self.new.items():
            yield f"tensors that start from scratch, since the file has {why}, {name_some(names, SHOWN)}"
        if self.left_out:
            yield (
                "tensors of the file that are left out, since the model has none with that name, "
                f"{name_some(self.left_out, SHOWN)}"
            )


def fit_start_weights(model: nn.Module, weights: Mapping[str, Tensor], filename: str | Path) -> StartWeights:
    """Choose the tensors of a file that fit a model by name and shape.

    Convolutions that read the image are made for another number of channels, see ``with_channels``.

    Raises:
        CellMMError: no tensor fits, or one holds NaN or infinity.
    """
    weights, own = with_new_names(model, weights), model.state_dict()
    adapted, channels = _for_channels(model, weights, own)
    weights |= adapted
    fitting = {name: weights[name] for name in own if _fits(own[name], weights.get(name))}
    if not fitting:
        raise CellMMError(
            f"{filename}: none of its {len(weights)} tensors fits this config's model, by name and shape; "
            "give the config that they were trained with"
        )
    check_finite(fitting, filename)
    new: dict[str, list[str]] = {}
    for name in own.keys() - fitting.keys():
        why = "none with that name" if name not in weights else "another shape"
        new.setdefault(why, []).append(
            f"{name} {list(weights[name].shape)}, not {list(own[name].shape)}" if name in weights else name
        )
    parameters = {name: parameter.numel() for name, parameter in model.named_parameters()}
    return StartWeights(
        weights=fitting,
        parameters=(
            sum(number for name, number in parameters.items() if name in fitting),
            sum(parameters.values()),
        ),
        tensors=len(own),
        new={why: sorted(names) for why, names in sorted(new.items())},
        left_out=sorted(weights.keys() - own.keys()),
        channels=channels,
    )


def load_start_weights(model: nn.Module, start: StartWeights, filename: str | Path) -> None:
    """Copy ``start.weights`` into the model.

    Raises:
        CellMMError: they cannot be copied, or a frozen part of the model would stay as random as it began.
    """
    frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    if random := [name for name in frozen if name not in start.weights]:
        raise CellMMError(
            f"{filename}: model.frozen: tensors of frozen parts that it does not have, or in another shape, "
            f"would stay random, {name_some(random, SHOWN)}; freeze other parts"
        )
    try:
        model.load_state_dict(start.weights, strict=False)
    except RuntimeError as error:  # tensors without data, sparse tensors and the like
        cause = str(error).splitlines()[-1].strip()
        raise CellMMError(f"{filename}: its tensors cannot be copied into the model: {cause}") from error


def with_channels(weight: Tensor, channels: int) -> Tensor:
    """The weight (out, C, ...) of a convolution of images, for images of another number of channels.

    For one channel, the sum over the old ones: a grey image gives what it gave as C equal channels. For
    more, the old channels in turn, times C / ``channels``, so that the sum stays the same where all channels
    are equal, as in timm and segmentation_models.pytorch.

    Examples:
        >>> rgb = torch.tensor([[1.0, 2.0, 3.0]])
        >>> with_channels(rgb, 1).tolist(), with_channels(rgb, 2).tolist()
        ([[6.0]], [[1.5, 3.0]])
        >>> with_channels(torch.tensor([[4.0]]), 2).tolist()
        [[2.0, 2.0]]
    """
    old = weight.shape[1]
    if channels == 1:
        return weight.sum(1, keepdim=True)
    return weight[:, torch.arange(channels) % old] * (old / channels)


def _for_channels(
    model: nn.Module, weights: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], tuple[int, int] | None]:
    """Weights of the convolutions of the encoder that read the image, and channels in the file and here."""
    here = getattr(getattr(model, "data_preprocessor", None), "in_channels", None)
    found = {
        name: weights[name]
        for name, value in own.items()
        if name.startswith("encoder.") and name in weights and _reads_image(value, weights[name], here)
    }
    there = {value.shape[1] for value in found.values()}
    if len(there) != 1:
        return {}, None
    adapted = {name: with_channels(value.float(), here) for name, value in found.items()}
    return adapted, (there.pop(), here)


def _reads_image(own: Tensor, value: Tensor, channels: int | None) -> bool:
    """Whether two tensors are weights of a convolution of images, of other numbers of channels."""
    if own.ndim < 3 or own.ndim != value.ndim or own.shape[1] != channels or own.shape[1] == value.shape[1]:
        return False
    return own.shape[:1] == value.shape[:1] and own.shape[2:] == value.shape[2:]


def _fits(own: Tensor, value: Tensor | None) -> bool:
    return value is not None and own.shape == value.shape


def _of_channels(there: int, here: int) -> str:
    text = f"the weights were made for images of {there} channels and the model takes {here}: "
    if here == 1:
        return text + "the first convolution takes the sum over its channels"
    if here < there:
        return text + f"the first convolution keeps channels 1 to {here}, times {there / here:.3g}"
    repeated = f"channel{'s' if there > 1 else ''} 1{f' to {there}' if there > 1 else ''}"
    return text + f"the first convolution repeats its {repeated}, times {there / here:.3g}"
