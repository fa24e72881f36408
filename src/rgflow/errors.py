"""The errors that rgflow raises on purpose; each message is one sentence: what is wrong, what was given, the fix."""

__all__ = ["DataError", "DeviceError", "ModelError", "NoCriticalPoint", "OutputError", "RgflowError", "SettingError"]


class RgflowError(Exception):
    """Base of every error that a user can cause and mend; the command line prints it and exits with 2."""


class DataError(RgflowError, ValueError):
    """The data cannot be read, or do not fit the model."""


class ModelError(RgflowError, ValueError):
    """The model cannot be found, built or drawn again."""


class SettingError(RgflowError, ValueError):
    """A setting lies outside its admissible range."""


class OutputError(RgflowError, OSError):
    """A result cannot be written where the user asked."""


class DeviceError(RgflowError, RuntimeError):
    """The requested device does not exist on this machine."""


class NoCriticalPoint(RgflowError, ValueError):
    """The activation has no usable critical point; the message carries the reason."""
