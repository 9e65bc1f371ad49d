# Nuclei of the Data Science Bowl 2018 (Caicedo et al., 2019; CC0): fluorescence, H&E and brightfield. Put
# images/ and instances_{train,val,test}.json into data/dsb2018, or set CELLMM_DATA to the folder that holds
# dsb2018/.
data_root = "{{$CELLMM_DATA:data}}/dsb2018"
load = dict(type="LoadImage", color="rgb")  # grey images as three equal channels
diameter = 28  # of the median nucleus where it reaches the network, pixels
normalize = dict(type="Normalize", mode="percentile")
test_pipeline = [
    load,
    dict(type="LoadCells", keep_original=True),
    normalize,
    dict(type="RescaleToDiameter", diameter=diameter),
    dict(type="PackCellInputs"),
]
dataset = dict(type="CellCocoDataset", data_root=data_root, img_dir="images")
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(dataset, ann_file="instances_val.json", test_mode=True, pipeline=test_pipeline),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(dataset, ann_file="instances_test.json", test_mode=True, pipeline=test_pipeline),
)
val_evaluator = dict(type="CellCocoMetric")
test_evaluator = val_evaluator
