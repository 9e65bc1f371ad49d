"""Train StarDist 2D (TensorFlow) from scratch and predict. run.py runs it in an environment of its own.

32 rays, grid 2, patches of 256, batches of 4, its default rate; flips and turns as augmentation, as in its
example. Every tenth training image is held out for its thresholds. The score of a cell is StarDist's own.
"""

import numpy as np
import peer_io

REQUIREMENTS = ["stardist==0.9.2", "tensorflow-cpu==2.21.0", "pycocotools", "tifffile"]
STEPS = 25  # per epoch


def augment(image: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    turns, flip = np.random.randint(4), np.random.randint(2)
    image, label = np.rot90(image, turns), np.rot90(label, turns)
    if flip:
        image, label = image[:, ::-1], label[:, ::-1]
    return image * np.random.uniform(0.6, 2) + np.random.uniform(-0.2, 0.2), label


def main() -> None:
    args = peer_io.parse_args(__doc__)
    import tensorflow as tf

    peer_io.say_versions("stardist", "csbdeep", "tensorflow-cpu", "keras", "numpy")
    tf.config.threading.set_intra_op_parallelism_threads(peer_io.threads())
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.keras.utils.set_random_seed(args.seed)
    from csbdeep.utils import normalize
    from stardist.models import Config2D, StarDist2D

    class Stop(tf.keras.callbacks.Callback):
        steps = 0

        def on_train_batch_end(self, batch, logs=None):
            self.steps += 1
            if deadline.left <= 0:
                self.model.stop_training = True  # looked at after each step

    _, images, labels = peer_io.read_split(args.data, "train")
    images = [normalize(image, 1, 99.8, axis=(0, 1)) for image in images]
    held = set(range(9, len(images), 10)) or {len(images) - 1}
    train = [i for i in range(len(images)) if i not in held] or [0]
    channels = 1 if images[0].ndim == 2 else images[0].shape[2]
    config = Config2D(
        n_rays=32,
        grid=(2, 2),
        n_channel_in=channels,
        train_patch_size=(256, 256),
        train_batch_size=4,
        train_epochs=10_000,
        train_steps_per_epoch=STEPS,
        train_tensorboard=False,
        train_reduce_lr=None,
    )
    model = StarDist2D(config, name="model", basedir=str(args.out))
    model.prepare_for_training()
    deadline, stop = peer_io.Deadline(args.minutes), Stop()
    model.callbacks.append(stop)
    validation = ([images[i] for i in held], [labels[i] for i in held])
    model.train(
        [images[i] for i in train],
        [labels[i] for i in train],
        validation_data=validation,
        augmenter=augment,
        seed=args.seed,
    )
    peer_io.say_steps(stop.steps, "4 patches", deadline)
    try:
        model.optimize_thresholds(*validation)
    except Exception as error:  # a network that finds nothing yet
        print(f"the thresholds stay the default ones: {error}")
    results = []
    for name, image, _ in zip(*peer_io.read_split(args.data, "test"), strict=True):
        label, details = model.predict_instances(normalize(image, 1, 99.8, axis=(0, 1)))
        results += peer_io.label_results(name, label, details["prob"])
    peer_io.write_results(args.out, results)


if __name__ == "__main__":
    main()
