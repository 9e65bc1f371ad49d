# The ablations of sparseseunet chapter 5 on simulated scenes: two planes, nuclei and overlaps. A grid, not a
# model's config: python tools/analysis/ablate.py tools/analysis/ablations/simulated.py
iters = 500  # 4 to 12 minutes a run on one CPU core
seeds = [0]
runs = dict(
    # SEU-Net
    base=dict(config="configs/seunet/cytoplasm.py"),
    nuclei=dict(config="configs/seunet/nuclei.py"),
    two_heads=dict(config="configs/seunet/two_heads.py"),
    three_heads=dict(config="configs/seunet/three_heads.py"),
    four_heads=dict(config="configs/seunet/four_heads.py"),
    multi_channel=dict(config="configs/seunet/multi_channel.py"),
    # overlap
    overlap=dict(config="configs/seunet/overlap.py"),
    overlap_v0=dict(config="configs/seunet/overlap_v0.py"),
    overlap_v1=dict(config="configs/seunet/overlap_v1.py"),
    overlap_v2=dict(config="configs/seunet/overlap_v2.py"),
    overlap_v3=dict(config="configs/seunet/overlap_v3.py"),
    overlap_v4=dict(config="configs/seunet/overlap_v4.py"),
    overlap_v4_weight=dict(config="configs/seunet/overlap_v4_weight.py"),
    overlap_v4_target=dict(config="configs/seunet/overlap_v4_target.py"),
    # instances
    single_level=dict(config="configs/sparseseunet/brightfield_quickstart.py"),
    multi_level=dict(config="configs/sparseseunet/simulated_multi_level.py", error_analysis=True),
    overlap_head=dict(config="configs/sparseseunet/simulated_overlap.py"),
    overlap_head_v4=dict(config="configs/sparseseunet/simulated_overlap_v4.py"),
    iou_mse=dict(config="configs/sparseseunet/simulated_iou_mse.py"),
    quality=dict(config="configs/sparseseunet/simulated_quality.py", error_analysis=True),
    quality_matrix_nms=dict(
        weights_of="quality",
        options={"model.heads.instances.test_cfg.nms": dict(_delete_=True, type="MatrixNMS", sigma=2.0)},
    ),
    quality_no_nms=dict(weights_of="quality", options={"model.heads.instances.test_cfg.nms": None}),
    iou_mse_unused=dict(weights_of="iou_mse", options={"model.heads.instances.objectness.in_score": False}),
    quality_unused=dict(weights_of="quality", options={"model.heads.instances.objectness.in_score": False}),
    points=dict(
        config="configs/sparseseunet/brightfield_quickstart.py",
        options={  # of 128x128 pixels
            "model.heads.instances.criterion.points": dict(type="UncertainPoints", num_points=1024)
        },
    ),
    diskmask=dict(config="configs/diskmask/brightfield_quickstart.py"),
)

_pixels = ("Acc", "Prec", "Rec", "F1", "IoU")
_ap = dict(AP="AP", AP50="AP50", AP75="AP75", AP_S="AP_S", AP_M="AP_M", AP_L="AP_L")
tables = [
    dict(
        number="5.1",
        title="Cytoplasm",
        rows={
            "SEU-Net (base)": "base",
            "SEU-Net (2-head)": "two_heads",
            "SEU-Net (3-head)": "three_heads",
            "SEU-Net (4-head)": "four_heads",
            "SEU-Net (one decoder, 4 maps)": "multi_channel",
        },
        columns={name: f"cytoplasm/{name}" for name in _pixels},
    ),
    dict(
        number="5.2",
        title="Nuclei",
        rows={
            "SEU-Net (base)": "nuclei",
            "SEU-Net (2-head)": "two_heads",
            "SEU-Net (3-head)": "three_heads",  # has no nuclei: '-', as in the thesis
            "SEU-Net (4-head)": "four_heads",
            "SEU-Net (one decoder, 4 maps)": "multi_channel",
        },
        columns={name: f"nuclei/{name}" for name in _pixels},
    ),
    dict(
        number="5.3",
        title="Overlaps",
        rows={
            "SEU-Net": "overlap",
            "SEU-Net + attn. map (v0)": "overlap_v0",
            "SEU-Net + attn. map (v1)": "overlap_v1",
            "SEU-Net + attn. map (v2)": "overlap_v2",
            "SEU-Net + attn. map (v3)": "overlap_v3",
            "SEU-Net + attn. map (v4)": "overlap_v4",
            "SEU-Net + attn. map (v4), eq. 5.1": "overlap_v4_weight",
            "SEU-Net + attn. map (v4), eq. 4.5": "overlap_v4_target",
        },
        columns={name: f"overlap/{name}" for name in _pixels},
    ),
    dict(
        number="5.7",
        title="Cells",
        rows={
            "SEU-Net + wtshd": "four_heads",
            "SparseSEU-Net": "single_level",
            "SparseSEU-Net (multi-level)": "multi_level",
            "DiskMask": "diskmask",
        },
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
        title="Losses on all pixels or on points",
        rows={"all 16,384 pixels": "single_level", "1,024 points": "points"},
        columns=_ap,
        scale=100,
    ),
    dict(
        title="Objectness (section 5.7.3)",
        rows={
            "none": "multi_level",
            "IoU, MSE (eq. 5.2)": "iou_mse",
            "IoU, MSE, learned and not used": "iou_mse_unused",
            "quality score (ours)": "quality",
            "quality score, learned and not used": "quality_unused",
        },
        columns=_ap,
        scale=100,
    ),
    dict(
        title="Repetitions, multi-level with the quality score",
        rows={"kept": "quality_no_nms", "greedy mask NMS": "quality", "matrix NMS": "quality_matrix_nms"},
        columns=_ap,
        scale=100,
    ),
    dict(number="5.11", title="Errors, multi-level", errors_of="multi_level"),
    dict(number="5.11", title="Errors, multi-level with the quality score", errors_of="quality"),
]
