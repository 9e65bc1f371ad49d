# The mask of all cells to two brightfield planes, the other baseline of the thesis (5.6). It needs annotated
# cells, and cannot know what lies within a mask.
_base_ = ["./phase_to_brightfield_cpu.py"]
load_mask = [dict(type="LoadImage", z="channels", num_channels=2), dict(type="LoadCells")]
pack_mask = dict(type="PackImagePair", inputs="mask", white=4095)
masks = dict(_base_.small, type="SimulatedDataset", _delete_=True)
train_dataloader = dict(dataset=dict(masks, split="train", pipeline=[*load_mask, _base_.crop, pack_mask]))
val_dataloader = dict(dataset=dict(masks, split="val", pipeline=[*load_mask, pack_mask]))
test_dataloader = dict(dataset=dict(masks, split="test", pipeline=[*load_mask, pack_mask]))
