# Nuclei in fluorescence without training: the images of this modality alone.
_base_ = ["./nuclei.py"]
# the other images of the json files, from 0
# fmt: off
others = dict(
    val=[1, 5, 7, 8, 18, 28, 32, 35, 38, 41, 45, 56, 57, 64, 70, 72, 77, 83, 90, 97, 107, 119, 120, 125],
    test=[
        3, 6, 12, 21, 34, 37, 39, 43, 45, 46, 53, 56, 58, 59, 66, 68, 69, 72, 76, 80, 85, 87, 89, 97, 114,
    ],
)
# fmt: on
model = dict(contrast="bright")
val_dataloader = dict(dataset=dict(indices=[i for i in range(133) if i not in others["val"]]))
test_dataloader = dict(dataset=dict(indices=[i for i in range(132) if i not in others["test"]]))
