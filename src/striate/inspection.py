"""Looking inside a network: activations and features."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from . import _core
from .arguments import whole_number
from .engine.weights import Floats
from .errors import UsageError
from .gradients import Gradients
from .images.inputs import (
    InputRule,
    checked,
    prepared,
    ready,
)
from .resolve import ResolvedLayer, find_layer

if TYPE_CHECKING:
    from .features import Output

BLOCK = 16  # images that the core computes together
# Bytes of a batch: two are held while the next one is computed, some 64 MB.
BATCH = 2**25


class Inspection(Gradients):
    """The part of Network that looks inside it.

    `preprocessed` says that float arrays already are as `preprocessing` makes them;
    `invert` turns dark and bright pixels first; `threads` is how many compute.
    """

    @overload
    def activations(  # type: ignore[overload-overlap]  # a name is a sequence too
        self,
        images: object,
        layer: str | int,
        *,
        preprocessed: bool = False,
        invert: bool = False,
        threads: int | None = None,
    ) -> Floats: ...

    @overload
    def activations(
        self,
        images: object,
        layer: Sequence[str | int] | None = None,
        *,
        preprocessed: bool = False,
        invert: bool = False,
        threads: int | None = None,
    ) -> dict[str, Floats]: ...

    def activations(
        self,
        images: object,
        layer: str | int | Sequence[str | int] | None = None,
        *,
        preprocessed: bool = False,
        invert: bool = False,
        threads: int | None = None,
    ) -> Floats | dict[str, Floats]:
        """Return what leaves a layer, N,H,W,C or N,D, for every image.

        `layer` is a name or an index; for a list of them, or None for all layers, the
        result is a mapping by name. Raises UsageError for layers there are not.
        Of more images than memory holds `activation_batches` gives some at a time.
        """
        if isinstance(layer, np.ndarray):
            layer = layer.tolist()
        alone = isinstance(layer, str) or hasattr(layer, "__index__")
        wanted = self._wanted(layer, "activations")
        inputs = self._inputs(images, preprocessed, invert)
        indices = [one.index for one in wanted]
        outputs = self.engine.forward(inputs, indices, threads=threads)
        if alone:
            return outputs[0]
        return {one.name: output for one, output in zip(wanted, outputs, strict=True)}

    def activation_batches(
        self,
        images: object,
        layer: str | int | Sequence[str | int] | None = None,
        *,
        batch_size: int | None = None,
        preprocessed: bool = False,
        invert: bool = False,
        threads: int | None = None,
    ) -> Iterator[tuple[slice, dict[str, Floats]]]:
        """Give the activations of some images at a time, in one pass over all of them.

        Yields (places, activations): which of the images, as a slice, and what leaves
        the layers for these, N,H,W,C or N,D by layer name. `images` may be mapped from
        a file larger than memory: each batch is read, given and left to be freed.

        Arguments:
            layer: a name, an index or a list of them; None for all layers.
            batch_size: images at a time, at least 1; by default so many that batches
                take some 64 MB together, though no fewer than 16.

        Every number is, bit for bit, what `activations` gives for all images at once,
        whatever the batch size. All arguments are checked before the first batch is
        asked for, but for values that are NaN or infinite, which are found (DataError)
        when their batch is read.

        >>> from striate import Conv2D, Network
        >>> network = Network([Conv2D(2, 3)], (8, 8, 1))
        >>> images = np.zeros((20, 8, 8, 1), np.uint8)
        >>> for places, maps in network.activation_batches(images, batch_size=16):
        ...     print(places, maps["conv1"].shape)
        slice(0, 16, None) (16, 6, 6, 2)
        slice(16, 20, None) (4, 6, 6, 2)
        """
        if isinstance(layer, np.ndarray):
            layer = layer.tolist()
        wanted = self._wanted(layer, "activation_batches")
        rule = self.input_rule
        array = checked(images, rule, preprocessed=preprocessed, invert=invert)
        numbers = sum(math.prod(one.output_shape) for one in wanted)
        if batch_size is None:
            each = 4 * (numbers + math.prod(self.input_shape))
            batch_size = max(BLOCK, BATCH // each // BLOCK * BLOCK)
        else:
            batch_size = whole_number("activation_batches", "batch_size", batch_size)
        step = min(batch_size, len(array))
        self.engine.team(step, len(wanted), numbers, threads)
        return self._batches(array, rule, wanted, step, invert, threads)

    def _batches(
        self,
        array: NDArray[Any],
        rule: InputRule,
        wanted: Sequence[ResolvedLayer],
        step: int,
        invert: bool,
        threads: int | None,
    ) -> Iterator[tuple[slice, dict[str, Floats]]]:
        indices = [one.index for one in wanted]
        fewest = _core.few_images + 1
        for start in range(0, len(array), step):
            stop = min(start + step, len(array))
            first, last = start, stop
            # Few images are computed another way. So that bits do not depend on the
            # batch size, few of many are computed among others, which are left out.
            if stop - start < fewest <= len(array):
                first = min(start, len(array) - fewest)
                last = max(stop, first + fewest)
            inputs = ready(array[first:last], rule, invert=invert, first=first)
            outputs = self.engine.forward(inputs, indices, threads=threads)
            if last - first > stop - start:
                inner = slice(start - first, stop - first)
                outputs = [output[inner].copy() for output in outputs]
            names = (one.name for one in wanted)
            yield slice(start, stop), dict(zip(names, outputs, strict=True))
            del outputs

    @property
    def feature_layer(self) -> str:
        """The name of the layer whose output `features` takes unless told otherwise.

        What is classified: the layer before the first Dense one, Dropout passed over
        (lenet5: flatten1; mobilenet and resnet: the mean of every map). In a network
        without a Dense layer that ends flat, the one before the last convolution, which
        gives each class its map; in any other, the last. Raises UsageError where the
        classifier reads the images themselves.
        """
        from .features import before_classifier

        return before_classifier(self.resolved).name

    def features(
        self,
        images: object,
        layer: str | int | None = None,
        *,
        out: Output | None = None,
        batch_size: int | None = None,
        preprocessed: bool = False,
        invert: bool = False,
        threads: int | None = None,
    ) -> Floats:
        """Return what leaves a layer, flat, for every image: N,D for other classifiers.

        Volumes become rows in the order channel, row, column, as Flatten has it.

        Arguments:
            images: may be mapped from a file; some are computed at a time.
            layer: its name or index; by default `feature_layer`.
            out: where to put the features: the path of a file that ends in .npy, which
                is written whole or not at all and returned mapped, to read only; or an
                array N,D of float32 or float64. Without it they are in memory.
            batch_size: images at a time; by default so many that memory stays small.

        Raises UsageError for layers there are not and for what `out` cannot be,
        ShapeError for an array of another shape, DataError where the file cannot be
        written.
        Source: the lecture's M8, the convolutional part as a feature extractor.

        >>> from striate import lenet5
        >>> images = np.zeros((5, 28, 28), np.uint8)
        >>> lenet5().features(images).shape, lenet5().features(images, "pool1").shape
        ((5, 400), (5, 1176))
        """
        from .features import features  # not needed to predict, as files are not

        return features(
            self,
            images,
            layer,
            out,
            batch_size=batch_size,
            preprocessed=preprocessed,
            invert=invert,
            threads=threads,
        )

    def prepared(
        self, images: object, *, preprocessed: bool = False, invert: bool = False
    ) -> Floats:
        """Return what enters the first layer for images: float32, N,H,W,C.

        Pixels are normalised and have the background around them where they are smaller
        than the input; `preprocessing.pixels` is the way back. Floats that already are
        as they have to be are returned as they are.
        """
        inputs = self._inputs(images, preprocessed, invert)
        return prepared(inputs, self.input_rule, slice(None))

    def _wanted(
        self, layer: str | int | Sequence[str | int] | None, method: str
    ) -> list[ResolvedLayer]:
        """The layers that are meant: one, some, or for None all of them."""
        resolved = self.resolved
        if isinstance(layer, list | tuple) and not layer:
            raise UsageError(
                f"{method} needs a layer at least; leave layer out for all of them."
            )
        if layer is None:
            return list(resolved)
        if isinstance(layer, Sequence) and not isinstance(layer, str):
            return [find_layer(resolved, one) for one in layer]
        return [find_layer(resolved, layer)]
