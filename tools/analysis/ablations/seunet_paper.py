# Tables 5.1 to 5.3 of sparseseunet at the published size, for a GPU. A grid, not a model's config:
#   python tools/analysis/ablate.py tools/analysis/ablations/seunet_paper.py
iters = 4500  # 1000 epochs of 18 images in batches of 4
seeds = [0]
_maps = ("v0", "v1", "v2", "v3", "v4", "v4_weight", "v4_target")
_names = ("cytoplasm", "nuclei", "multi_channel", "two_heads", "three_heads", "four_heads", "overlap")
runs = {
    name: dict(config=f"configs/seunet/{name}_paper.py")
    for name in (*_names, *(f"overlap_{name}" for name in _maps))
}

_pixels = ("Acc", "Prec", "Rec", "F1", "IoU")
_heads = {
    "SEU-Net (2-head)": "two_heads",
    "SEU-Net (3-head)": "three_heads",  # has no nuclei: '-', as in the thesis
    "SEU-Net (4-head)": "four_heads",
    "SEU-Net (one decoder, 4 maps)": "multi_channel",
}
tables = [
    dict(
        number="5.1",
        title="Cytoplasm",
        rows={"SEU-Net (base)": "cytoplasm", **_heads},
        columns={name: f"cytoplasm/{name}" for name in _pixels},
    ),
    dict(
        number="5.2",
        title="Nuclei",
        rows={"SEU-Net (base)": "nuclei", **_heads},
        columns={name: f"nuclei/{name}" for name in _pixels},
    ),
    dict(
        number="5.3",
        title="Overlaps",
        rows={
            "SEU-Net": "overlap",
            **{f"SEU-Net + attn. map ({name})": f"overlap_{name}" for name in _maps[:5]},
            "SEU-Net + attn. map (v4), eq. 5.1": "overlap_v4_weight",
            "SEU-Net + attn. map (v4), eq. 4.5": "overlap_v4_target",
        },
        columns={name: f"overlap/{name}" for name in _pixels},
    ),
]
