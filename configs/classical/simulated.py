# Cells of the small simulated scenes in fluorescence, without training.
_base_ = ["./nuclei.py"]
data_root = "data/simulated_nuclei"
simulation = dict(
    folder=data_root, splits=dict(train=160, val=16, test=32), scene="small", seed=0, extra_modalities=True
)
dataset = dict(
    _delete_=True,
    type="SimulatedDataset",
    data_root=data_root,
    simulation=simulation,
    modality="fluorescence",
    class_agnostic=True,
    test_mode=True,
    pipeline=_base_.test_pipeline,
)
model = dict(diameter=(15, 80), contrast="bright")
val_dataloader = dict(dataset=dict(dataset, split="val"))
test_dataloader = dict(dataset=dict(dataset, split="test"))
