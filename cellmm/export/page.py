"""The page about a package, for people who run its graphs in another program."""

from typing import Any

from cellmm.apis.trained_model import TrainedModel
from cellmm.models.heads import SoftmaxHead
from cellmm.models.heads.base import targets_of

PAGE = """\
# {name}

Exported by cellmm {version}, which runs it whole, from image files to cells:
`cellmm predict IMAGES --model PACKAGE.zip --out RESULTS`. It finds {classes}. {seen}

## Graphs

{graphs}

All sizes are free but the channels. The sides of `images` are multiples of {step}: pad with 0 at the
bottom and at the right. What ends in `logits` are logits. `map1`, `map2`
and so on are maps that another graph takes.

## What comes before the graph `maps`

The steps of `pipeline` in `cellmm.json`, in order: {steps}. Then channels come first, as float32.

## What comes after it

{after}

## Validation

The outputs of each graph were compared with those of the trained model, for random inputs of two sizes: none
differs by more than 1e-4 (absolute, plus 1e-4 of its value). Measure the model on annotated images of your
own before you use its results.
"""
GATEWAYS = """\
Cells come from the head `{name}`, through gateways. 1 - channel 0 of the softmax of `{name}.out.disk_logits`
is the probability of a disk; a gateway is opened where {finder} finds a disk. A window around each gateway is
cut out of `{name}.out.features` and of the maps, and all of them go through the graph `{name}.masks`, with
`gates` true in the disk and `disk_probs` the probability there. `mask_logits` are the mask of that
cell alone, and `scores` how sure it is. A mask that reaches the border of its window is drawn again in a
window twice as large. Masks that repeat a better one are left out (`test_cfg.nms` of the head). Masks may
overlap."""
QUERIES = """\
Cells come from the head `{name}`, one per query. `cls_logits` are (batch, query, class), `kernels` (batch,
query, E + 1) and `basis` (batch, E, rows, columns). The mask logits of a query are the sum over E of its
kernel times the basis, plus the last number of the kernel. Its score is the class probability times the mean
probability of the pixels in its mask{objectness}. Masks that repeat a better one are left out
(`test_cfg.nms` of the head)."""
OBJECTNESS = ", and the IoU that the graph `{name}.objectness` expects"
MAPS_ONLY = "`{name}.out` are the logits of {targets}."
EXCLUSIVE = " Their softmax over the channels are the probabilities."
REFINE = "Cells are then corrected by the maps, by `model.refine` in `cellmm.json`, a {type}."
CALIBRATION = (
    "Scores are then mapped by straight lines between the pairs of `model.calibration` in `cellmm.json`."
)
POSTPROCESS = "Cells are made from the maps by `model.postprocess` in `cellmm.json`, a {type}."


def page_of(content: dict[str, Any], trained: TrainedModel) -> str:
    """The page, as Markdown, of a package with the description ``content``."""
    model, after = trained.model, []
    for name, head in model.heads.items():
        if "masks" in head.export.calls:
            after.append(GATEWAYS.format(name=name, finder=type(head.finder).__name__))
        elif targets := targets_of(head):
            listed = ", ".join(f"`{target}`" for target in targets)
            said = MAPS_ONLY.format(name=name, targets=f"the map{'s' * (len(targets) > 1)} {listed}")
            after.append(said + EXCLUSIVE * isinstance(head, SoftmaxHead))
        elif hasattr(head, "num_queries"):
            more = OBJECTNESS.format(name=name) if head.export.calls else ""
            after.append(QUERIES.format(name=name, objectness=more))
    if model.postprocess is not None:
        after.append(POSTPROCESS.format(type=type(model.postprocess).__name__))
    if model.refine is not None:
        after.append(REFINE.format(type=type(model.refine).__name__))
    if model.calibration is not None:
        after.append(CALIBRATION)
    graphs = [
        f"- `{graph['file']}`: {_names(graph['inputs'])} -> {_names(graph['outputs'])}"
        for graph in content["graphs"].values()
    ]
    return PAGE.format(
        name=content["name"],
        version=content["cellmm"],
        classes=", ".join(content["classes"]),
        seen=_seen(trained),
        graphs="\n".join(graphs),
        step=model.tile_step,
        steps=", ".join(type(step).__name__ for step in trained.steps),
        after="\n\n".join(after),
    )


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _seen(trained: TrainedModel) -> str:
    seen = trained.trained_on
    if seen is None or seen.diameter is None:
        return ""
    return f"Its cells had a median diameter of {seen.diameter:.3g} pixels where they reached the network."
