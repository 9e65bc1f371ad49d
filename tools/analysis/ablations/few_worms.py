# Worms with 5, 10 and 50 annotated wells, from scratch and after simulated worms. A grid, not a model's
# config. docs/how_to/simulated_pretraining.md makes data/worms_like, trains the first weights, and says how
# many iterations are equal minutes:
#   python tools/analysis/ablate.py tools/analysis/ablations/few_worms.py
iters = 600
seeds = [0]
_models = dict(diskmask="configs/diskmask/bbbc010_cpu.py", sparseseunet="configs/sparseseunet/bbbc010_cpu.py")
_wells = (5, 10, 50)
_starts = dict(scratch=None, pretrained="work_dirs/worms_like/{}")
runs = {
    f"{model}_{wells}_{start}": dict(
        config=config,
        options={
            "train_dataloader.dataset.indices": list(range(wells)),
            "load_from": weights and weights.format(model),
        },
    )
    for model, config in _models.items()
    for wells in _wells
    for start, weights in _starts.items()
}
tables = [
    dict(
        title=f"{title}, few wells",
        header="annotated wells | start",
        rows={
            f"{wells} | {label}": f"{model}_{wells}_{start}"
            for wells in _wells
            for start, label in (("scratch", "random weights"), ("pretrained", "simulated worms"))
        },
        columns=dict(AP="AP", AP50="AP50", AP75="AP75", S="S"),
        scale=100,
    )
    for model, title in (("diskmask", "DiskMask"), ("sparseseunet", "SparseSEUNet"))
]
