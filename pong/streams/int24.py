"""Packed 24-bit integers, which sound cards know and NumPy does not: dtype ``V3``, in the machine's byte order."""

import sys

import numpy as np

__all__ = ["pack", "unpack"]

# Where the three bytes stand in those of an int32 that is 256 times as big.
UPPER = slice(1, 4) if sys.byteorder == "little" else slice(0, 3)


def unpack(packed):
    """Return packed integers as int32, exactly, full scale being full scale: 256 times as big.

    Parameters
    ----------
    packed : ndarray
        Shape ``(frames, channels)``, dtype ``V3``.

    Returns
    -------
    ndarray
        The same shape, int32.
    """
    wide = np.zeros(packed.shape, "int32")
    as_bytes(wide, 4)[..., UPPER] = as_bytes(np.ascontiguousarray(packed), 3)
    return wide


def pack(wide, packed):
    """Write the upper 24 bits of int32 into packed integers.

    Parameters
    ----------
    wide : ndarray
        Shape ``(frames, channels)``, int32.
    packed : ndarray
        Where they go: the same shape, dtype ``V3``, C order.
    """
    as_bytes(packed, 3)[...] = as_bytes(np.ascontiguousarray(wide), 4)[..., UPPER]


def as_bytes(array, size):
    """Return the bytes of an array, shape ``(frames, channels, size)``."""
    return array.view("uint8").reshape(*array.shape, size)
