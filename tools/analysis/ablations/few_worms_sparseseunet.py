# few_worms.py with SparseSEUNet:
#   python tools/analysis/ablate.py tools/analysis/ablations/few_worms_sparseseunet.py
_base_ = ["./few_worms.py"]
iters = 180  # ten minutes on one core
_weights = "work_dirs/worms_like/sparseseunet/iter_380.pth"
runs = {
    name: dict(
        config="configs/sparseseunet/bbbc010_cpu.py",
        options=dict(load_from=run["options"]["load_from"] and _weights),
    )
    for name, run in _base_.runs.items()
}
tables = [dict(_base_.tables[0], title="SparseSEUNet, few wells")]
