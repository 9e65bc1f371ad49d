# Pairs of phase contrast and two brightfield planes. Put your own into the folder below, 16 bit, with equal
# names in <split>/phase and <split>/images. Where the folder is missing, simulated ones are made there once.
data_root = "data/brightfield_phase"
simulation = dict(folder=data_root, splits=dict(train=18, val=5, test=5), seed=0)
crop = dict(type="RandomCrop", crop_size=(512, 512), allow_negative_crop=True)
pack = dict(type="PackImagePair", inputs=1, white=4095)  # 12 bits of the simulated camera; 65535 of 16 bits
load = dict(type="LoadImage", z="channels")
dataset = dict(type="PairedImageDataset", data_root=data_root, simulation=simulation)
train_dataloader = dict(
    batch_size=1,  # of pix2pix; the thesis says mini-batches
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DrawSampler", shuffle=True),
    dataset=dict(dataset, input_dir="train/phase", target_dir="train/images", pipeline=[load, crop, pack]),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(dataset, input_dir="val/phase", target_dir="val/images", pipeline=[load, pack]),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(dataset, input_dir="test/phase", target_dir="test/images", pipeline=[load, pack]),
)
# weights="inception_v3_google-0cc3c7bd.pth" of the second one, a file of torchvision, gives the FID
val_evaluator = [dict(type="TranslationMetric"), dict(type="FrechetMetric")]
test_evaluator = val_evaluator
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
