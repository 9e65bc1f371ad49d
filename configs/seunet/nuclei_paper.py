# Nuclei alone at the published size: the base model of sparseseunet table 5.2.
_base_ = ["./cytoplasm_paper.py"]
model = dict(
    heads=dict(_delete_=True, nuclei=dict(type="SemanticHead", target="nuclei")),
    instance_head=None,  # maps alone
    postprocess=None,
)
val_evaluator = [dict(type="SemanticMetric", targets=("nuclei",))]
test_evaluator = val_evaluator
