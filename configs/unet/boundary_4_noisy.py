# Boundaries 4 px wide, learned from what configs/classical/nuclei.py finds in the training images in place
# of hand-drawn nuclei. Validation and test keep those. What writes the labels, into data/dsb2018/noisy:
# docs/how_to/without_training.md
_base_ = ["./boundary_4.py"]
train_dataloader = dict(dataset=dict(ann_file="noisy/cells.json", allow_empty=True))
