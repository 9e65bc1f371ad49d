# The shipped model of nuclei: nuclei.py with the threshold and the calibration of its weights, chosen on the
# validation images. Other weights need their own: tools/analysis/reliability.py.
_base_ = ["./nuclei.py"]
model = dict(
    heads=dict(instances=dict(test_cfg=dict(score_thr=0.45))),
    # fmt: off
    calibration=[
        (0, 0),
        (0.4515, 0.5),
        (0.4593, 0.5854),
        (0.4745, 0.6148),
        (0.496, 0.6557),
        (0.5176, 0.6569),
        (0.5298, 0.6818),
        (0.5554, 0.7405),
        (0.586, 0.7746),
        (0.5967, 0.8095),
        (0.6049, 0.8431),
        (0.6207, 0.8663),
        (0.6352, 0.877),
        (0.6729, 0.948),
        (0.7026, 0.951),
        (0.7125, 0.9696),
        (0.7335, 0.9751),
        (0.755, 0.9783),
        (0.7937, 0.9882),
        (0.8379, 0.9929),
        (0.8591, 0.9948),
        (1, 1),
    ],
    # fmt: on
)
