# Boundaries 4 px wide, learned from what configs/classical/nuclei.py finds in the training images in place
# of hand-drawn nuclei. Validation and test keep those. The command that writes the labels:
#   cellmm predict data/dsb2018/instances_train.json --model classical/nuclei --out data/dsb2018/noisy --save coco
_base_ = ["./boundary_4.py"]
train_dataloader = dict(dataset=dict(ann_file="noisy/cells.json", allow_empty=True))  # some images: no nucleus
