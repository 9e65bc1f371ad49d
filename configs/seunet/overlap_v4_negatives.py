# Ours, what section 4.3 says in words: overlap is unlikely where P is low, and costs more there; its own
# pixels stay as they are.
_base_ = ["./overlap_v4.py"]
model = dict(heads=dict(overlap=dict(loss=dict(form="negatives"))))
