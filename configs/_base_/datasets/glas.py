# Glands in H&E (GlaS, Sirinukunwattana et al., 2017; research only, non-commercial). Put the files of the
# challenge into data/glas, or set CELLMM_DATA to the folder that holds glas/. About 15% of the training
# images validate; both test parts are scored, each on its own.
data_root = "{{$CELLMM_DATA:data}}/glas"
load = dict(type="LoadImage", color="rgb")
normalize = dict(type="Normalize", mode="mean_std")
# glas-report 3: both flips and a random crop, each with probability 1/2; the size of the crop is ours
augmentation = dict(
    type="Albumentations",
    transforms=[
        dict(type="HorizontalFlip", p=0.5),
        dict(type="VerticalFlip", p=0.5),
        dict(type="RandomCrop", height=400, width=400, p=0.5),
    ],
)
# glands are large: half the resolution, in all images the same
rescale = dict(type="Rescale", factor=0.5)
test_pipeline = [
    load,
    dict(type="LoadCells", keep_original=True),
    normalize,
    rescale,
    dict(type="PackCellInputs"),
]
dataset = dict(type="GlaSDataset", data_root=data_root)
loader = dict(
    batch_size=1, num_workers=1, persistent_workers=True, sampler=dict(type="DefaultSampler", shuffle=False)
)
val_dataloader = dict(loader, dataset=dict(dataset, split="val", test_mode=True, pipeline=test_pipeline))
test_dataloader = dict(loader, dataset=dict(dataset, split="test", test_mode=True, pipeline=test_pipeline))
val_evaluator = [dict(type="CellCocoMetric"), dict(type="GlandMetric", prefix="glands")]
test_evaluator = [
    dict(type="CellCocoMetric"),
    dict(type="GlandMetric", parts=dict(A="testA_*", B="testB_*")),
]
