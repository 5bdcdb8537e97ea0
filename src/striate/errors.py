"""The errors Striate raises, one class per thing a caller may want to tell apart.

Every message names the subject, the rule, what was received and the remedy.
"""


class StriateError(Exception):
    """Any error that Striate raises on purpose."""


class ShapeError(StriateError, ValueError):
    """An array or a layer does not fit the shape of what it meets."""


class DataError(StriateError, ValueError):
    """A problem with the images, labels or files the user gave."""


class ModelFileError(StriateError, ValueError):
    """A model file is damaged, foreign or from a newer version."""


class UsageError(StriateError, ValueError):
    """Options or arguments that contradict each other or mean nothing here."""


class TrainingError(StriateError, RuntimeError):
    """Training could not go on, for instance because the loss is not finite."""


class BusyError(StriateError, RuntimeError):
    """A network was used while another thread was training it."""
