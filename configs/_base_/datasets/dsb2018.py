# Nuclei of the Data Science Bowl 2018 (Caicedo et al., 2019; CC0): fluorescence, H&E and brightfield. Put
# images/ and instances_{train,val,test}.json into data/dsb2018, or set CELLMM_DATA to the folder that holds
# dsb2018/.
data_root = "{{$CELLMM_DATA:data}}/dsb2018"
load = dict(type="LoadImage", color="rgb")  # grey images as three equal channels
diameter = 28  # of the median nucleus where it reaches the network, pixels
normalize = dict(type="Normalize", mode="percentile")
# augmentation; configs add the size of the crop
warp = dict(
    type="RandomWarp",
    centre="uniform",
    rotate=(-180, 180),
    elastic_spacing=32,
    elastic_magnitude=1.0,
)
intensity = dict(
    type="RandomIntensity",
    brightness=0.1,
    contrast=0.3,
    gamma=0.5,
    blur=1.0,
    noise=0.05,
    invert=0.03,
)
# the images, from 0, of stained tissue and brightfield, which are few
# fmt: off
rare = [
    1, 2, 16, 22, 23, 26, 32, 37, 42, 44, 47, 49, 56, 57, 68, 79, 82, 88, 89, 93, 95, 100, 102, 107,
    108, 110, 113, 122, 123, 127, 135, 139, 145, 155, 159, 160, 163, 170, 176, 181, 186, 190, 193, 194,
    197, 211, 220, 224, 228, 242, 243, 253, 256, 260, 265, 270, 272, 274, 275, 279, 283, 294, 303, 304,
    306, 308, 312, 321, 357, 366, 368, 372, 379, 391,
]
# and those of one tissue in which nuclei are outlined where they are a third as bright as in the middle, or
# less: elsewhere it is a half
wide = [39, 61, 74, 85, 97, 121, 147, 164, 235, 250, 263, 313, 316, 349, 360, 373, 375, 395, 396]
# fmt: on
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
