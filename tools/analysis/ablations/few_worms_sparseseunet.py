# SparseSEUNet on worms with 5, 10 and 50 annotated wells, from scratch and after simulated worms. A grid, not
# a model's config. docs/how_to/simulated_pretraining.md makes data/worms_like and trains the first weights:
#   python tools/analysis/ablate.py tools/analysis/ablations/few_worms_sparseseunet.py
iters = 180  # ten minutes on one core
seeds = [0]
_wells = (5, 10, 50)
_starts = dict(scratch=None, pretrained="work_dirs/worms_like/sparseseunet/iter_380.pth")
runs = {
    f"{wells}_{start}": dict(
        config="configs/sparseseunet/bbbc010_cpu.py",
        options={"train_dataloader.dataset.indices": list(range(wells)), "load_from": weights},
    )
    for wells in _wells
    for start, weights in _starts.items()
}
tables = [
    dict(
        title="SparseSEUNet, few wells",
        header="annotated wells | start",
        rows={
            f"{wells} | {label}": f"{wells}_{start}"
            for wells in _wells
            for start, label in (("scratch", "random weights"), ("pretrained", "simulated worms"))
        },
        columns=dict(AP="AP", AP50="AP50", AP75="AP75", S="S"),
        scale=100,
    )
]
