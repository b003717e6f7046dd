"""Packages that pong does without until a device or a file of theirs is asked for."""

from contextlib import contextmanager

__all__ = ["EXTRAS", "naming_extras"]

# Which extra of the package brings what may be missing; the others come with the command line's own.
EXTRAS = {
    "matplotlib": "plot", "sounddevice": "portaudio", "jack": "jack", "miniaudio": "miniaudio", "soundfile": "cli",
}


@contextmanager
def naming_extras():
    """Let an import that fails say how to get what is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        raise ModuleNotFoundError(
            f"{error.name} is missing: pip install 'pong[{EXTRAS[error.name]}]'", name=error.name
        ) from error
