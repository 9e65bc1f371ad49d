# Nuclei of any modality without training: bright or dark, each image by its own histogram.
_base_ = ["../_base_/default_runtime.py", "../_base_/datasets/dsb2018.py"]
load = dict(type="LoadImage", color="grayscale")
# 0 to 1 is the range of each image, so that 8 and 16 bit, dim and bright images are thresholded alike
normalize = dict(type="Normalize", mode="percentile", percentiles=(0, 100))
test_pipeline = [
    load,
    dict(type="LoadCells", keep_original=True),
    normalize,
    dict(type="PackCellInputs"),
]
model = dict(
    type="ClassicalSegmentor",
    data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
    contrast="auto",
    discard_border=False,  # nuclei at the edge are annotated too
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
