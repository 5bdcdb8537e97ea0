"""Network: layers, their weights and all that is done with them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .engine.weights import Floats
from .errors import UsageError
from .images.arrays import as_array
from .images.inputs import Images, mirrored
from .images.labels import ClassNames
from .inspection import Inspection
from .layers import Dense
from .stack import checked_classes
from .training.augmentation import Augmentation, Level, as_augmentation
from .training.evaluation import accuracy, softmax
from .training.optimizers import Optimizer
from .training.settings import Settings

if TYPE_CHECKING:
    from .images.prediction import FilePrediction, PathLike
    from .images.preprocess import Preprocessing
    from .training.run import History
    from .training.weighting import ClassWeight


class Network(Inspection):
    """A stack of layers with its weights: it trains, predicts and can be looked into.

    Arguments:
        layers: in the order they are applied; to classify, the last must give one
            number (logit) for each class.
        input_shape: (height, width, channels) of what enters the first layer.
        seed: chooses the starting weights, 0 to 2**63 - 1.

    Images are arrays N,H,W,C, or N,H,W for one channel. uint8 pixels are scaled and
    normalised by `preprocessing`, which `fit` measures on its training images; until
    then they are divided by 255. Images smaller than the input are centred in it.
    Float arrays are taken as they are and must be of the input's shape.

    An image's answer is the same, bit for bit, among any other images and on any number
    of threads. Only between calls of at most 8 images, which are taken one by one, and
    of more it differs by rounding.

    Raises ShapeError where a layer does not fit what reaches it, and UsageError where
    the weights would not fit into memory.
    Source: LeCun, Bottou, Bengio and Haffner, 1998; the lecture's M7.

    >>> from striate.layers import Conv2D, Dense, Flatten, ReLU
    >>> network = Network([Conv2D(2, 3), ReLU(), Flatten(), Dense(4)], (8, 8, 1))
    >>> network.predict_proba(np.zeros((5, 8, 8), np.uint8)).shape
    (5, 4)
    """

    def fit(
        self,
        images: object,
        labels: object,
        epochs: int | None = None,
        batch_size: int | None = None,
        optimizer: Optimizer | None = None,
        schedule: str = "one-cycle",
        validation_data: tuple[object, object] | None = None,
        sample_weight: ArrayLike | None = None,
        callbacks: Iterable[object] = (),
        seed: int = 0,
        threads: int | None = None,
        label_smoothing: float = 0.0,
        clip_norm: float | None = None,
        class_weight: ClassWeight = None,
        ema_decay: float | None = None,
        preprocessed: bool = False,
        augmentation: Augmentation | Level | None = None,
        preprocessing: Preprocessing | None = None,
    ) -> History:
        """Train on images, N,H,W,C, and their labels, N integers or strings.

        Arguments:
            epochs: how often every image is seen; by default by their number
                (`default_epochs`).
            batch_size: images per step; the last step of an epoch takes what is left
                (but no single image where there is a BatchNorm: each epoch then leaves
                out another one).
                By default 128, or 32 where there are fewer than 10,000 images.
            optimizer: SGD, Adam or AdamW; by default SGD with momentum, and a learning
                rate that goes with the batch (`default_optimizer`).
            schedule: "constant", "step", "cosine" or "one-cycle" (`learning_rates`).
            validation_data: (images, labels) to be measured after every epoch.
            sample_weight: N numbers; each step's loss is the weighted mean.
            callbacks: objects with any of on_train_begin(network, info),
                on_steps_end(progress) about ten times a second, on_epoch_end(epoch,
                logs) with epochs counted from 1, and on_train_end(logs). One that sets
                `network.stop_training = True` ends training after the steps under way.
            seed: of order and dropout; the same seed gives the same weights, bit for
                bit, on any number of threads.
            threads: to compute with; all processors of the process by default.
            label_smoothing: share of each label spread over all classes, 0 to below 1.
            clip_norm: longest gradient, longer ones are scaled down to it.
            class_weight: "balanced" lets every class count alike, however many images
                it has; or a mapping of classes to weights. Multiplies sample_weight.
            ema_decay: keeps an exponential moving average of the weights, such as
                0.999 a step; validation, callbacks at the end of an epoch and the
                network after training have the average.
            preprocessed: the images are floats as `preprocessing` makes them.
            augmentation: how training images are changed, anew in every epoch: an
                Augmentation, or its level "light", "default" or "strong".
            preprocessing: how uint8 images become the input, where more is known than
                they tell, such as how files were fitted (`Preprocessing.measure`).

        Returns the history: lists with one entry an epoch for loss, accuracy (both
        measured while training), learning_rate (of the last step), seconds and
        images_per_second (training only), and with validation data val_loss and
        val_accuracy. Ctrl-C raises KeyboardInterrupt after a whole step and leaves the
        network usable. Raises TrainingError where loss or weights stop being finite,
        BusyError where another thread uses the network; and, before anything has
        changed, ShapeError, DataError or UsageError for images, labels and what does
        not go with them, ValueError or TypeError for settings that mean nothing.
        """
        from .training.fit import fit  # here and below: what predicting does not need

        settings = Settings.for_images(
            len(np.atleast_1d(as_array(images, "images"))),
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            normalized=self.engine.normalizes is not None,
            schedule=schedule,
            seed=seed,
            label_smoothing=label_smoothing,
            clip_norm=clip_norm,
            class_weight=class_weight,
            augmentation=as_augmentation(augmentation),
            ema_decay=ema_decay,
        )
        return fit(
            self,
            images,
            labels,
            settings,
            validation_data=validation_data,
            sample_weight=sample_weight,
            callbacks=callbacks,
            threads=threads,
            preprocessed=preprocessed,
            preprocessing=preprocessing,
        )

    def logits(
        self,
        images: object,
        *,
        preprocessed: bool = False,
        invert: bool = False,
        threads: int | None = None,
    ) -> Floats:
        """Return the last layer's output for every image, N,K.

        `preprocessed` says that float arrays already are as `preprocessing` makes them;
        `invert` turns dark and bright pixels first. So with all methods below.
        """
        return self._answers(self._inputs(images, preprocessed, invert), threads)

    def predict_proba(
        self,
        images: object,
        *,
        preprocessed: bool = False,
        invert: bool = False,
        threads: int | None = None,
    ) -> Floats:
        """Return the probability of every class for every image, N,K.

        Softmax of the logits divided by `temperature`.
        """
        inputs = self._inputs(images, preprocessed, invert)
        return self._answers(inputs, threads, probabilities=True)

    def predict(
        self,
        images: object,
        *,
        preprocessed: bool = False,
        invert: bool = False,
        threads: int | None = None,
    ) -> NDArray[Any]:
        """Return the most probable class of every image, in the labels' vocabulary."""
        logits = self.logits(
            images, preprocessed=preprocessed, invert=invert, threads=threads
        )
        return self._names(logits.argmax(axis=1))

    def predict_files(
        self,
        files: Iterable[PathLike],
        invert: bool | Literal["auto"] = "auto",
        threads: int | None = None,
        reject: float = 0.0,
    ) -> list[FilePrediction]:
        """Return label, probabilities and notes for image files of any size and kind.

        Files are fitted as the training images were. `invert` turns dark and bright:
        "auto" where the file's background is the opposite of the training images'.
        Answers whose probability is below `reject`, 0 to 1, are marked as rejected.
        Raises DataError naming the first file that cannot be read, UsageError where
        the network was not trained on uint8 images, ValueError for `reject`.
        """
        from .images.prediction import file_predictions, read_files

        if not 0 <= reject <= 1:
            raise ValueError(
                f"reject must be a probability from 0 to 1 but is {reject!r}."
            )
        if self._preprocessing is None or self._classes is None:
            raise UsageError(
                "this network was not trained on uint8 images and does not know how "
                "files become its input; fit it first, or predict arrays."
            )
        records = []
        for names, pixels, notes in read_files(files, self._preprocessing, invert):
            rows = self.predict_proba(pixels, threads=threads)
            records += file_predictions(names, notes, rows, self._classes, reject)
        return records

    def score(
        self,
        images: object,
        labels: object,
        sample_weight: ArrayLike | None = None,
        *,
        preprocessed: bool = False,
        threads: int | None = None,
    ) -> float:
        """Return the share of images whose most probable class is their label."""
        examples = self._examples(images, labels, sample_weight, preprocessed)
        return accuracy(self._answers(examples.images, threads), examples)

    def calibrate(
        self,
        images: object,
        labels: object,
        *,
        preprocessed: bool = False,
        threads: int | None = None,
    ) -> float:
        """Set `temperature` so that probabilities are right as often as they say.

        `images` and `labels` must be others than those of `fit`, on which networks are
        too sure of themselves; validation images will do. No answer changes, only its
        probability (`training.calibration.temperature` says how it is found). Returns
        the temperature: above 1 where the network was too sure. Raises BusyError in
        training, and ShapeError or DataError for the arguments.
        Source: temperature scaling; Guo, Pleiss, Sun and Weinberger, 2017.

        >>> from striate import Dense, Flatten
        >>> pixels = np.arange(8, dtype=np.uint8).reshape(2, 2, 2, 1) * 30
        >>> network = Network([Flatten(), Dense(2)], (2, 2, 1))
        >>> history = network.fit(pixels, ["dark", "bright"], epochs=50)
        >>> network.calibrate(pixels[:1], ["dark"]) == network.temperature
        True
        >>> network.predict_proba(pixels[:1]).max().round(2)  # one image proves little
        np.float32(0.67)
        """
        from .training.calibration import temperature

        examples = self._examples(images, labels, None, preprocessed)
        logits = self._answers(examples.images, threads)
        self.temperature = temperature(logits, examples.labels)
        return self.temperature

    def with_classes(self, classes: ClassNames, seed: int = 0) -> Self:
        """Return a network for other classes that begins with this one's features.

        All layers and weights are copied but the last Dense layer, which gets one unit
        for each of `classes` and starting weights from `seed`; preprocessing is kept.
        Training it further is called fine-tuning. Raises UsageError where the last
        layer is no Dense layer, DataError for classes that are not different names.

        >>> from striate.layers import Dense, Flatten
        >>> network = Network([Flatten(), Dense(3)], (4, 4, 1))
        >>> network.with_classes(["cat", "dog"])
        Network([Flatten(), Dense(2)], (4, 4, 1), seed=0)
        """
        *layers, last = self.layers
        if not isinstance(last, Dense):
            raise UsageError(
                f"with_classes replaces the last layer, which must be Dense but is "
                f"{last!r}; make a network that ends in Dense(classes)."
            )
        names = checked_classes(classes)
        head = replace(last, units=len(names))
        fresh = type(self)([*layers, head], self.input_shape, seed)
        kept = dict(self.weights)
        prefix = f"{self.resolved[-1].name}."
        weights = {
            name: array if name.startswith(prefix) else kept[name]
            for name, array in fresh.weights.items()
        }
        fresh.set_weights(weights)
        fresh.learned(self.preprocessing, names, self.mirrored_answers)
        fresh.training = {"input": self.training.get("input")}
        return fresh

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write weights, architecture, classes and preprocessing into one file.

        A safetensors file, written whole or not at all. Raises ModelFileError where it
        cannot be written, BusyError while another thread trains the network.
        """
        from .saving.metadata import to_metadata
        from .saving.modelfile import save_model

        with self.engine.usage.reading():
            save_model(path, self.weights, to_metadata(self.__getstate__()))

    def _answers(
        self, inputs: Images, threads: int | None, probabilities: bool = False
    ) -> Floats:
        """The logits, N,K, or their softmax: one number for each class."""
        if not self._mirrored_answers:
            return self.engine.answers(
                inputs,
                probabilities=probabilities,
                temperature=self._temperature,
                threads=threads,
            )
        both = [inputs, mirrored(inputs, self.input_rule)]
        one, other = (self.engine.answers(seen, threads=threads) for seen in both)
        logits: Floats = (one + other) * np.float32(0.5)
        return softmax(logits, self.temperature) if probabilities else logits

    def _names(self, indices: NDArray[np.intp]) -> NDArray[Any]:
        if self._classes is None:
            return indices.astype(np.int64)
        return np.asarray(self._classes)[indices]


def load(path: str | os.PathLike[str]) -> Network:
    """Return the network that `Network.save` wrote, ready to predict or to train on.

    Raises ModelFileError for whatever is not a whole model file, and for one whose
    parts do not fit together.

    >>> import tempfile
    >>> from striate.layers import Dense, Flatten
    >>> path = tempfile.mkdtemp() + "/model.safetensors"
    >>> Network([Flatten(), Dense(2)], (4, 4, 1), seed=5).save(path)
    >>> load(path)
    Network([Flatten(), Dense(2)], (4, 4, 1), seed=5)
    """
    from .saving.metadata import from_metadata
    from .saving.modelfile import load_model

    weights, metadata = load_model(path)
    network = Network.__new__(Network)
    network.__setstate__(from_metadata(os.fspath(path), weights, metadata))
    return network
