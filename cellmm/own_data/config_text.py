"""The config that `cellmm init` writes: short, with the reason of each number beside it."""

import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from cellmm.own_data.choices import STRIDE, Choices
from cellmm.own_data.start import StartModel

BASES = {
    ("diskmask", True): "cellmm::diskmask/bbbc010_cpu",
    ("diskmask", False): "cellmm::diskmask/nuclei",
    ("sparseseunet", True): "cellmm::sparseseunet/bbbc010_cpu",
    ("sparseseunet", False): "cellmm::sparseseunet/bbbc010_cpu",
}
HERE = "{{ fileDirname }}"  # mmengine puts the folder of the config there
WIDTH = 110
SHORT = 500  # iterations of a training that starts from a model
TUNING = 0.5  # its learning rate, of that of the model's own training


def config_text(
    choices: Choices,
    *,
    about: Sequence[str],
    data_root: str,
    validates: bool,
    tests: bool,
    empty: bool = False,
    start: StartModel | None = None,
    layout: str | None = None,
) -> str:
    """A Python config.

    Args:
        about: what was found, lines of comments.
        data_root: the folder of the images; may begin with HERE.
        validates, tests: whether there are images for this.
        empty: images may have no cell.
        start: a model whose weights are the start: its network stays as it is.
        layout: of AnnotatedFolderDataset, where the user chose it.
    """
    base = start.base if start else BASES[choices.model, choices.along]
    lines = [line for text in about for line in _comment(text)]
    lines += [f"_base_ = [{_value(base)}]", f"data_root = {_value(data_root)}"]
    lines += [f"work_dir = {_value(HERE + '/training')}", ""]
    extra = (dict(layout=layout) if layout else {}) | (dict(allow_empty=True) if empty else {})
    lines += [*_pipelines(choices, start), *_model(choices, start)]
    lines += [*_loaders(choices, validates, tests, extra), *_length(validates, start)]
    return "\n".join(lines) + "\n"


def _pipelines(choices: Choices, start: StartModel | None) -> Iterator[str]:
    reasons = choices.reasons
    color = {} if choices.color == "unchanged" else dict(color=choices.color)
    yield from _comment(reasons["in_channels"])
    yield f"load = {_call('LoadImage', color)}"
    yield from _comment(reasons["normalize"])
    yield f"normalize = {_call('Normalize', choices.normalize)}"
    yield from _comment(reasons["factor"])
    in_training, in_test = _scaling(choices)
    if in_test:
        yield f"rescale = {in_test}"
    yield "train_pipeline = ["
    cache = dict(cache=True) if choices.cache else {}
    yield from _items("load", _call("LoadCells", cache), "normalize", *filter(None, [in_training]))
    if not choices.dense:
        yield from _comment("few cells: crops around them", 4)
        yield from _items(_call("SamplingDensity", dict(sigma=choices.crop / 4), 4))
    yield from _comment(f"a crop {reasons['crop']}; images have no fixed orientation, so any angle", 4)
    yield from _items(
        _call("RandomWarp", _warp(choices), 4), _call("RandomIntensity", _intensity(choices), 4)
    )
    if start:
        yield from _items(*(_call(**step) for step in start.targets))
    elif choices.model == "diskmask":
        yield from _comment(f"{reasons['along']}; {reasons['whole']}", 4)
        yield from _items(*_targets(choices))
    yield from _items(_call("PackCellInputs"))
    yield "]"
    yield "test_pipeline = ["
    yield from _items("load", _call("LoadCells", dict(keep_original=True)), "normalize")
    yield from _items(*(["rescale"] if in_test else []), _call("PackCellInputs"))
    yield "]"
    yield ""


def _scaling(choices: Choices) -> tuple[str | None, str | None]:
    """The step that scales images in training, and in tests."""
    if choices.factor == 1:
        return None, None
    if choices.factor is not None:
        return "rescale", _call("Rescale", dict(factor=choices.factor))
    own = dict(diameter=choices.diameter)
    # the network finds the size when it predicts, and not exactly
    return _call("RescaleToDiameter", own | dict(scale=(0.55, 1.8))), _call("RescaleToDiameter", own)


def _warp(choices: Choices) -> dict[str, Any]:
    return dict(
        size=(choices.crop, choices.crop),
        centre="uniform" if choices.dense else "density",
        rotate=(-180, 180),
        scale=(0.8, 1.25),
        elastic_spacing=max(16, round(1.6 * choices.diameter)),
        elastic_magnitude=round(0.06 * choices.diameter, 1),
        min_area=choices.min_area,
    )


def _intensity(choices: Choices) -> dict[str, Any]:
    if choices.normalize["mode"] == "percentile":  # values from 0 to 1
        return dict(brightness=0.1, contrast=0.3, gamma=0.3, noise=0.05)
    return dict(brightness=0.2, contrast=0.2, noise=0.1)


def _targets(choices: Choices) -> list[str]:
    radius = choices.radius
    place = dict(kind="medial", min_distance=1.5 * STRIDE * radius) if choices.along else dict(kind="inside")
    border = dict(border=0) if choices.whole else {}
    return [
        _call("ReferencePoints", place | dict(stride=STRIDE) | border),
        _call("DiskTargets", dict(radius=radius, disk_weight=8.0, between_reach=radius)),
    ]


def _model(choices: Choices, start: StartModel | None) -> Iterator[str]:
    yield "model = dict("
    yield f"    data_preprocessor=dict(in_channels={choices.in_channels}),"
    if choices.factor is None:
        yield from _comment("the network finds how large the cells of an image are", 4)
        yield f"    cell_size={_call('DiameterFinder', dict(diameter=choices.diameter))},"
    else:
        yield "    cell_size=None,  # all images have the same scale"
    if choices.tile:
        yield f"    tile={choices.tile},  # pixels a side: larger images are tested in parts"
        yield f"    tile_overlap={choices.overlap},"
    if start and start.window and choices.window > start.window:
        yield from _comment(f"long cells: {choices.window * STRIDE} px around a gateway", 4)
        yield f"    heads=dict(instances=dict(windows=dict(size={choices.window}))),"
    if start is None and choices.model == "diskmask":
        yield from _gateways(choices)
    elif start is None:
        yield from _comment(choices.reasons["num_queries"], 4)
        yield f"    heads=dict(instances=dict(num_queries={choices.num_queries})),"
    yield ")"
    yield ""


def _gateways(choices: Choices) -> Iterator[str]:
    radius, window = choices.radius, choices.window
    yield "    heads=dict("
    yield "        instances=dict("
    yield f"            finder=dict(radius={radius - 1.0}, score_thr=0.1),"
    yield f"            sampler=dict(num_gates={choices.num_gates}, radius={radius}),"
    yield f"            windows=dict(size={window}),  # {window * STRIDE} px, around nearly every cell"
    yield "            # two masks that share more than this are the same cell"
    iou = 0.6 if choices.along else 0.4
    yield f'            test_cfg=dict(score_thr=0.05, nms=dict(type="MaskNMS", iou_thr={iou})),'
    yield "        )"
    yield "    ),"


def _loaders(choices: Choices, validates: bool, tests: bool, extra: dict[str, Any]) -> Iterator[str]:
    yield from _comment("which image is in which split: train.txt, val.txt and test.txt beside this file")
    more = "".join(f", {key}={_value(value)}" for key, value in extra.items())
    yield f'images = dict(type="AnnotatedFolderDataset", data_root=data_root{more})'
    yield "test_images = dict(images, test_mode=True, pipeline=test_pipeline)"
    yield "train_dataloader = dict("
    yield f"    batch_size={choices.batch_size},"
    file = _value(f"{HERE}/train.txt")
    yield f"    dataset=dict(images, _delete_=True, split_file={file}, pipeline=train_pipeline),"
    yield ")"
    for name, used in (("val", validates), ("test", tests)):
        if used:
            file = _value(f"{HERE}/{name}.txt")
            yield f"{name}_dataloader = dict(dataset=dict(test_images, _delete_=True, split_file={file}))"
        else:
            yield f"{name}_dataloader = {name}_evaluator = {name}_cfg = None  # no images for it"


def _length(validates: bool, start: StartModel | None) -> Iterator[str]:
    interval = SHORT // 5 if start else 500
    if start:
        yield ""
        yield from _comment(
            f"{start.name} knows cells: half of the learning rate of its own training, and a short schedule, "
            "which --minutes scales"
        )
        yield f"load_from = {_value(start.load_from)}"
        yield f"max_iters = {SHORT}"
        yield f"optim_wrapper = dict(optimizer=dict(lr={TUNING * start.rate:g}))"
        warm_up, step = SHORT // 20, dict(by_epoch=False)
        warm = _call("LinearLR", dict(start_factor=0.02) | step | dict(begin=0, end=warm_up))
        decay = _call("CosineAnnealingLR", dict(eta_min=1e-6) | step | dict(begin=warm_up, end=SHORT))
        yield f"param_scheduler = [\n    {warm},\n    {decay},\n]"
    lengths = ["max_iters=max_iters"] * bool(start) + [f"val_interval={interval}"] * validates
    if lengths:
        yield f"train_cfg = dict({', '.join(lengths)})"
    best = ', save_best="AP", rule="greater"' if validates else ""
    yield f"default_hooks = dict(checkpoint=dict(interval={interval}{best}))"


def _items(*steps: str) -> Iterator[str]:
    for step in steps:
        yield f"    {step},"


def _comment(text: str, indent: int = 0) -> list[str]:
    start = " " * indent + "# "
    return textwrap.wrap(text, WIDTH, initial_indent=start, subsequent_indent=start, break_on_hyphens=False)


def _call(type: str, arguments: dict[str, Any] | None = None, indent: int = 0) -> str:
    """``dict(type="Rescale", factor=0.5)``, on several lines where it is long."""
    parts = [f"type={_value(type)}", *(f"{key}={_value(value)}" for key, value in (arguments or {}).items())]
    line = f"dict({', '.join(parts)})"
    if len(line) + indent < WIDTH:
        return line
    space = " " * indent
    return "dict(\n" + "".join(f"{space}    {part},\n" for part in parts) + f"{space})"


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
