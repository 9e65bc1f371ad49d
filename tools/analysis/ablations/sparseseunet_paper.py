# Tables 5.7 and 5.9 to 5.11 of sparseseunet at the published size, for a GPU. A grid, not a model's config:
#   python tools/analysis/ablate.py tools/analysis/ablations/sparseseunet_paper.py
iters = 18_000  # 2000 epochs of 18 images in batches of 2
seeds = [0]
runs = dict(
    single_level=dict(config="configs/sparseseunet/brightfield.py"),
    multi_level=dict(config="configs/sparseseunet/brightfield_multi_level.py", error_analysis=True),
    overlap_head=dict(config="configs/sparseseunet/brightfield_overlap.py"),
    overlap_head_v4=dict(config="configs/sparseseunet/brightfield_overlap_v4.py"),
    iou_mse=dict(config="configs/sparseseunet/brightfield_iou_mse.py"),
)

_ap = dict(AP="AP", AP50="AP50", AP75="AP75", AP_S="AP_S", AP_M="AP_M", AP_L="AP_L")
tables = [
    dict(
        number="5.7",
        title="Cells",
        rows={"SparseSEU-Net": "single_level", "SparseSEU-Net (multi-level)": "multi_level"},
        columns=_ap,
        scale=100,
    ),
    dict(
        number="5.9",
        title="Overlap awareness",
        header="overlap head | attn. map",
        rows={" | ": "single_level", "✓ | ": "overlap_head", "✓ | ✓": "overlap_head_v4"},
        columns=_ap,
        scale=100,
    ),
    dict(
        number="5.10",
        title="Levels",
        rows={"single-level": "single_level", "multi-level": "multi_level"},
        columns=_ap,
        scale=100,
    ),
    dict(
        title="Objectness (section 5.7.3)",
        rows={"none": "multi_level", "IoU, MSE (eq. 5.2)": "iou_mse"},
        columns=_ap,
        scale=100,
    ),
    dict(number="5.11", title="Errors, multi-level", errors_of="multi_level"),
]
