"""Train YOLO11n-seg from scratch and predict, by its command line. run.py runs it in its own environment.

Ultralytics is under the AGPL: it is never imported, only its program `yolo` is run. Results are text files
with scores, predicted at the size of the image, from a score of .01 on, at most 1000 cells per image.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import peer_io

REQUIREMENTS = ["torch", "torchvision", "ultralytics==8.*"]
MODEL = "yolo11n-seg.yaml"  # the description of the network: no weights, nothing is downloaded
MOST = 1000


def main() -> None:
    args = peer_io.parse_args(__doc__)
    peer_io.say_versions("ultralytics", "torch", "numpy")
    program = Path(sys.executable).with_name("yolo")
    data, out = (args.data / "yolo").resolve(), args.out.resolve()
    lines = (data / "data.yaml").read_text().splitlines()
    own = out / "data.yaml"
    own.write_text("\n".join([f"path: {data}", *lines[1:]]) + "\n")
    environment = os.environ | dict(
        YOLO_CONFIG_DIR=str(out), YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", WANDB_MODE="disabled"
    )
    first = next((data / "images/train").glob("*.png"))
    side = 32 * -(-max(_size(first)) // 32)

    def yolo(mode: str, *options: str) -> None:
        command = [str(program), "segment", mode, f"imgsz={side}", "device=cpu", f"project={out}", *options]
        print(" ".join(command), flush=True)
        subprocess.run(command, env=environment, cwd=out, check=True)

    yolo(
        "train",
        f"model={MODEL}",
        f"data={own}",
        f"time={args.minutes / 60}",
        "batch=4",
        "workers=0",
        f"seed={args.seed}",
        "pretrained=False",
        "plots=False",
        "val=False",
        "amp=False",
        "overlap_mask=False",  # masks of their own: overlapping cells stay whole
        "name=train",
        "exist_ok=True",
    )
    shutil.rmtree(out / "predict", ignore_errors=True)  # its files are appended to
    yolo(
        "predict",
        f"model={out / 'train/weights/last.pt'}",
        f"source={data / 'images/test'}",
        "conf=0.01",
        f"max_det={MOST}",
        "retina_masks=True",
        "save=False",
        "save_txt=True",
        "save_conf=True",
        "name=predict",
        "exist_ok=True",
    )
    results = out / "results"
    shutil.rmtree(results, ignore_errors=True)
    labels = out / "predict/labels"
    shutil.copytree(labels, results) if labels.is_dir() else results.mkdir()
    print(f"{results}: {len(list(results.glob('*.txt')))} images with cells", flush=True)


def _size(path: Path) -> tuple[int, int]:
    """Width and height in the head of a PNG."""
    head = path.read_bytes()[16:24]
    return int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")


if __name__ == "__main__":
    main()
