"""Several models as one: of a config or of several, in memory, from the command line and in a test."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config

from cellmm.apis.inferencer import CellInferencer
from cellmm.commands.predict_options import parse_args
from cellmm.engine.checkpoints import save_weights
from cellmm.errors import CellMMError
from cellmm.registry import MODELS
from cellmm.zoo import resolve_model
from tests.models.test_map_heads import IAM, semantic
from tests.models.test_map_heads import build as build_maps
from tests.models.test_map_heads import data as map_data

CONFIG = """
default_scope = "cellmm"
model = dict(
    type="CellSegmentor",
    data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
    encoder=dict(type="SEUNetEncoder", widths=(4, 8, 8)),
    decoder=dict(type="SEUNetDecoder", widths=(6, 8)),
    heads=dict(
        instances=dict(
            type="IAMHead", num_queries=4, feature_dim={dim},
            instance_branch=dict(channels=8, depth=1),
            mask_branch=dict(channels=8, depth=1, mask_dim=4, level={level}),
            test_cfg=dict(score_thr=0.0),
        )
    ),
)
test_dataloader = dict(
    dataset=dict(
        type="CellCocoDataset",
        ann_file="cells.json",
        pipeline=[dict(type="LoadImage"), dict(type="Normalize", mode={mode!r}), dict(type="PackCellInputs")],
    ),
)
"""


def trained(folder, name, seed=0, mode="mean_std", dim=8, level=0, classes=("cell",)):
    """The config and random weights of a small model."""
    config, weights = folder / f"{name}.py", folder / f"{name}.pth"
    config.write_text(CONFIG.format(mode=mode, dim=dim, level=level))
    torch.manual_seed(seed)
    model = MODELS.build(Config.fromfile(config).model)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    save_weights(weights, model.state_dict(), dict(dataset_meta=dict(classes=list(classes))))
    return config, weights


def image():
    return np.random.default_rng(0).random((37, 21)).astype(np.float32)


def scores(*models, **more):
    return CellInferencer(*models[0], device="cpu", ensemble=models[1:], **more).predict(image()).scores


def test_a_model_with_itself_finds_what_it_finds_alone(tmp_path):
    one = trained(tmp_path, "one")
    alone = CellInferencer(*one, device="cpu").predict(image())
    both = CellInferencer(*one, device="cpu", ensemble=[one, one]).predict(image())
    assert len(alone.scores) > 0
    assert both.scores == pytest.approx(alone.scores)
    assert both.masks.to_rles() == alone.masks.to_rles()


def test_models_of_several_configs_and_strides_with_views_and_tiles(tmp_path):
    one, other = trained(tmp_path, "one"), trained(tmp_path, "other", seed=1, dim=6, level=1)
    merged = scores(one, other)
    assert len(merged) > 0 and not np.array_equal(merged, scores(one))
    changes = {"model.tta": "turns", "model.tile": 16, "model.tile_overlap": 4}
    assert len(scores(one, other, cfg_options=changes)) > 0
    swapped = scores(other, one)
    assert merged == pytest.approx(swapped, abs=1e-5)


def test_options_of_the_pipeline_hold_for_all_models(tmp_path):
    one, other = trained(tmp_path, "one"), trained(tmp_path, "other", seed=1)
    changes = {"test_dataloader.dataset.pipeline.1.mode": "percentile"}
    changed = scores(one, other, cfg_options=changes)
    (tmp_path / "percentile").mkdir()
    written = [trained(tmp_path / "percentile", n, i, mode="percentile") for i, n in enumerate("ab")]
    assert changed == pytest.approx(scores(*written))
    assert not np.array_equal(changed, scores(one, other))


def test_maps_are_averaged():
    parts = dict(heads=semantic("cytoplasm"), instance_head=None, postprocess=dict(type="SeededWatershed"))
    models = [build_maps(**parts).eval() for _ in range(2)]
    torch.manual_seed(5)
    for parameter in models[1].parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    configs = dict(
        type="CellSegmentor",
        data_preprocessor=dict(type="CellDataPreprocessor", in_channels=2),
        encoder=dict(type="SEUNetEncoder", widths=(4, 8, 8)),
        decoder=dict(type="SEUNetDecoder", widths=(6, 8)),
        **parts,
    )
    both = build_maps(**parts, ensemble=[configs]).eval()
    state = {f"ensemble.0.{name}": value for name, value in models[1].state_dict().items()}
    both.load_state_dict({**models[0].state_dict(), **state})
    got, *single = (m.test_step(map_data((13, 22)))[0].pred_semantic.cytoplasm for m in (both, *models))
    assert not torch.allclose(*single, atol=1e-2)
    assert torch.allclose(got, sum(single) / 2, atol=1e-6)
    fused = both.fuse_for_inference().test_step(map_data((13, 22)))[0].pred_semantic.cytoplasm
    assert torch.allclose(got, fused, atol=1e-4)
    with pytest.raises(CellMMError, match="train its models alone"):
        both(torch.zeros(1, 2, 16, 16), map_data((16, 16))["data_samples"], mode="loss")


def test_the_map_of_one_model_corrects_the_cells_of_another(tmp_path):
    one, maps = trained(tmp_path, "one"), tmp_path / "maps.py"
    maps.write_text(
        "_base_ = ['one.py']\n"
        "head = dict(type='SemanticHead', target='cytoplasm')\n"
        "model = dict(heads=dict(_delete_=True, foreground=head), instance_head=None)\n"
    )
    torch.manual_seed(2)
    model = MODELS.build(Config.fromfile(maps).model)
    save_weights(tmp_path / "maps.pth", model.state_dict(), dict(dataset_meta=dict(classes=["cell"])))
    members = [(maps, tmp_path / "maps.pth")]
    alone = CellInferencer(*one, device="cpu", ensemble=members).predict(image())
    assert alone.scores == pytest.approx(scores(one)) and len(alone.scores) > 0
    # what it does to masks: tests/models/postprocess/test_foreground_agreement.py
    options = {"model.refine.type": "ForegroundAgreement", "model.refine.grow": 2}
    inferencer = CellInferencer(*one, device="cpu", ensemble=members, cfg_options=options)
    assert inferencer.model.refine.grow == 2 and inferencer.model.map_strides == dict(cytoplasm=1)
    assert inferencer.predict(image()).scores == pytest.approx(alone.scores)


def test_models_that_cannot_be_merged_are_refused(tmp_path):
    one = trained(tmp_path, "one")
    other = trained(tmp_path, "other", mode="percentile")
    with pytest.raises(CellMMError, match=r"other\.pth: images come .*percentile.* in place of .*mean_std"):
        scores(one, other)
    other = trained(tmp_path, "named", classes=("nucleus",))
    with pytest.raises(CellMMError, match=r"named\.pth: finds the classes nucleus"):
        scores(one, other)
    with pytest.raises(CellMMError, match=r"other\.pth: not weights of this config's model"):
        scores(one, (one[0], trained(tmp_path, "other", dim=6)[1]))
    maps = dict(heads=semantic("cytoplasm"), instance_head=None, postprocess=dict(type="SeededWatershed"))
    first = build_maps(**maps)
    kind = dict(
        type="CellSegmentor",
        data_preprocessor=dict(type="CellDataPreprocessor", in_channels=2),
        encoder=dict(type="SEUNetEncoder", widths=(4, 8, 8)),
        decoder=dict(type="SEUNetDecoder", widths=(6, 8)),
    )
    with pytest.raises(CellMMError, match=r"model\.ensemble\.0: one model finds cells by a head"):
        build_maps(**maps, ensemble=[dict(kind, heads=dict(instances=IAM))])
    kind["data_preprocessor"] = dict(type="CellDataPreprocessor", in_channels=1)
    with pytest.raises(CellMMError, match=r"model\.ensemble\.0: takes images of 1 channels"):
        build_maps(**maps, ensemble=[dict(kind, **maps)])
    assert first.ensemble is not None


def test_options_of_predict(tmp_path):
    one, other = (trained(tmp_path / name, name) for name in made(tmp_path, "a", "b"))
    rest = ["x.tif", "--out", "o"]
    folders = [str(config.parent) for config, _ in (one, other)]
    (tmp_path / "b" / "last_checkpoint").write_text("iter_9.pth")
    (tmp_path / "b" / "iter_9.pth").write_bytes(other[1].read_bytes())
    (tmp_path / "a" / "iter_9.pth").write_bytes(one[1].read_bytes())
    args = parse_args([*rest, "--model", folders[0], "--model", f"{folders[1]}/iter_9.pth"])
    assert args.checkpoint == str(tmp_path / "a" / "iter_9.pth")
    assert args.ensemble == [[str(other[0]), str(tmp_path / "b" / "iter_9.pth")]]
    args = parse_args([*rest, "--config", "c.py", "--checkpoint", str(one[1]), "--checkpoint", str(other[1])])
    assert (args.checkpoint, args.ensemble) == (str(one[1]), [["c.py", str(other[1])]])
    assert json.loads(json.dumps(args.ensemble)) == args.ensemble  # a plan of tiles keeps it
    with pytest.raises(CellMMError, match="--checkpoint goes with one --model"):
        parse_args([*rest, "--model", "a", "--model", "b", "--checkpoint", "c.pth"])


def made(folder, *names):
    for name in names:
        (folder / name).mkdir()
    return names


def test_a_config_beside_weights_runs_only_in_the_folder_of_a_training(tmp_path):
    ((config, checkpoint),) = [trained(tmp_path / name, name) for name in made(tmp_path, "a")]
    (config.parent / "other.py").write_text("raise SystemExit('this was run')")
    with pytest.raises(CellMMError, match="these are weights: give --config"):
        resolve_model(checkpoint)
