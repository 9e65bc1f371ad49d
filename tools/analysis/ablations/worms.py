# SparseSEUNet's steps on the worms of BBBC010 (docs/how_to/bbbc010.md). A grid, not a model's config:
# python tools/analysis/ablate.py tools/analysis/ablations/worms.py
iters = 3000  # an hour and a half a run on two CPU cores
seeds = [0]
_head = "model.heads.instances."
_no_nms = {_head + "test_cfg.nms": None}
_no_quality = {_head + "objectness.in_score": False}
_matrix_nms = {_head + "test_cfg.nms": dict(_delete_=True, type="MatrixNMS", sigma=2.0)}
runs = dict(
    single_level=dict(config="configs/sparseseunet/bbbc010_cpu.py", error_analysis=True),
    quality=dict(config="configs/sparseseunet/bbbc010_multi_level_cpu.py", error_analysis=True),
    # the same weights, tested in another way
    single_level_no_nms=dict(weights_of="single_level", options=_no_nms),
    multi_level=dict(weights_of="quality", options=_no_quality, error_analysis=True),
    multi_level_no_nms=dict(weights_of="quality", options={**_no_nms, **_no_quality}),
    quality_no_nms=dict(weights_of="quality", options=_no_nms),
    quality_matrix_nms=dict(weights_of="quality", options=_matrix_nms),
    # by tools/analysis/calibrate.py on the training wells, of 0.4, 0.45, ..., 0.6
    quality_calibrated=dict(weights_of="quality", options={_head + "test_cfg.mask_thr": 0.45}),
)

_ap = dict(AP="AP", AP50="AP50", AP75="AP75", AP_S="AP_S", AP_M="AP_M", AP_L="AP_L")
tables = [
    dict(
        number="5.8",
        title="Worms, in the place of LIVECell",
        rows={
            "SparseSEU-Net": "single_level",
            "SparseSEU-Net (multi-level)": "multi_level",
            "SparseSEU-Net (multi-level, quality score)": "quality",
        },
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
        title="Step by step",
        header="model | mask NMS",
        rows={
            "single-level | ": "single_level_no_nms",
            "single-level | greedy": "single_level",
            "multi-level | ": "multi_level_no_nms",
            "multi-level | greedy": "multi_level",
            "multi-level, quality score | ": "quality_no_nms",
            "multi-level, quality score | greedy": "quality",
            "multi-level, quality score | matrix": "quality_matrix_nms",
            "multi-level, quality score, mask threshold .45 | greedy": "quality_calibrated",
        },
        columns=dict(AP="AP", AP50="AP50", AP75="AP75", AP90="AP90", S="S"),
        scale=100,
    ),
    dict(number="5.11", title="Errors, multi-level", errors_of="multi_level"),
    dict(number="5.11", title="Errors, multi-level with the quality score", errors_of="quality"),
]
