# Nuclei of any modality without training: bright or dark, whichever each image shows.
_base_ = ["../_base_/default_runtime.py", "../_base_/datasets/dsb2018.py"]
test_pipeline = [
    dict(type="LoadImage", color="grayscale"),
    dict(type="LoadCells", keep_original=True),
    # 0 to 1 is the range of each image: 8 and 16 bit, dim and bright images are thresholded alike
    dict(type="Normalize", mode="percentile", percentiles=(0, 100)),
    dict(type="PackCellInputs"),
]
model = dict(
    type="ClassicalSegmentor",
    data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
    diameter=(7, 100),  # these images have many scales; this and the next two: chosen on training images
    threshold=dict(method="three_class_otsu"),  # dim nuclei beside bright ones are the middle class
    declumping=dict(distinguish="shape"),
    contrast="auto",
    discard_border=False,  # nuclei at the edge are annotated too
)
# by name, since there is no checkpoint that knows what the cells are
metainfo = dict(classes=("nucleus",))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline, metainfo=metainfo))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline, metainfo=metainfo))
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
