"""Pictures as smooth fields of free numbers: what activation maximisation changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..engine.weights import Floats
from ..images.preprocess import Preprocessing

# What pictures start from is within these, so that they can grow darker and brighter.
NEUTRAL = 0.05, 0.95
CORRELATION = 0.75  # of red, green and blue, as in photographs


@dataclass(frozen=True)
class Canvas:
    """From free numbers to pictures, to what enters the network, and the way back.

    A field of free numbers is smoothed, its colours are mixed, and a sigmoid brings it
    between black and white; a pixel is only free where its mask says so, and has the
    training images' mean colour elsewhere. All that a step changes is then a picture.
    """

    known: Preprocessing
    masks: Floats
    """U,h,w,1: 1 where the picture is free, else 0."""
    smoothness: float
    """Amplitudes go with the frequency to the power of minus this; 0 is not smooth."""
    sight: tuple[int, int]
    """(height, width) that matter of a picture: waves as long or longer are alike."""

    def paint(self, fields: Floats) -> tuple[Floats, Floats]:
        """Return the pictures of fields U,h,w,C, from 0 to 1, and their slopes."""
        neutral = np.clip(np.array(self.known.mean, np.float32), *NEUTRAL)
        level = np.log(neutral / (1 - neutral))
        painted = 1 / (1 + np.exp(-(level + self._mix(fields))))
        pictures = neutral + self.masks * (painted - neutral)
        return pictures.astype(np.float32), self.masks * painted * (1 - painted)

    def paint_adjoint(self, gradients: Floats, slopes: Floats) -> Floats:
        """Return how fields change a number, from how their pictures do."""
        return self._mix(gradients * slopes)

    def pixels(self, fields: Floats) -> NDArray[np.uint8]:
        """Return the pictures of fields as pixels, U,h,w,C."""
        return np.rint(255 * self.paint(fields)[0]).astype(np.uint8)

    @property
    def ground(self) -> Floats:
        """What the background becomes, one value a channel."""
        return self.known.pixel_table()[:, self.known.background]

    def values(self, pictures: Floats) -> Floats:
        """Return what enters the network for pictures: U,H,W,C, background around."""
        values = np.empty((len(pictures), *self.known.input_shape), np.float32)
        values[:] = self.ground
        values[self._inside] = (pictures - np.array(self.known.mean)) / self.known.std
        return values

    def values_adjoint(self, gradients: Floats) -> Floats:
        """Return how pictures change a number, from how the network's input does."""
        inside = gradients[self._inside]
        changes: Floats = np.divide(inside, self.known.std, dtype=np.float32)
        return changes

    @property
    def _inside(self) -> tuple[slice, slice, slice]:
        (height, width), (top, left) = self.known.image_size, self.known.offset
        return slice(None), slice(top, top + height), slice(left, left + width)

    def _mix(self, fields: Floats) -> Floats:
        """Smooth fields and let their colours go together: symmetric, its own adjoint."""
        height, width, channels = fields.shape[1:]
        gains = self._gains(height, width)[:, :, None]
        spectrum = np.fft.rfft2(fields.astype(np.float64), axes=(1, 2)) * gains
        smooth: NDArray[np.float64] = np.fft.irfft2(
            spectrum, s=(height, width), axes=(1, 2)
        )
        if channels == 3:
            smooth = smooth @ _colors()
        return smooth.astype(np.float32)

    def _gains(self, height: int, width: int) -> NDArray[np.float64]:
        down, across = np.fft.fftfreq(height), np.fft.rfftfreq(width)
        frequency = np.hypot(down[:, None], across)
        lowest = 1 / max(self.sight)
        gains = np.maximum(frequency, lowest) ** -self.smoothness
        weights = np.where((across > 0) & (across < 0.5), 2, 1)
        power = (gains**2 * weights).sum() / (height * width)
        scaled: NDArray[np.float64] = gains / np.sqrt(power)
        return scaled


def _colors() -> NDArray[np.float64]:
    """The symmetric root of the covariance of colours that go together."""
    alone, common = np.sqrt(1 - CORRELATION), np.sqrt(1 + 2 * CORRELATION)
    root: NDArray[np.float64] = alone * np.eye(3) + (common - alone) / 3
    return root
