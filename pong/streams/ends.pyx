"""The ends of links that a native stream takes: while it has them, Python may do nothing there."""
import math

import numpy as np

from libc.math cimport NAN

from pong._arena cimport as_count
from pong._link cimport Link, Receiver, Sender
from pong._pool import BufferPool
from pong._views cimport Views
from pong.errors import ClosedError
from pong.kernel.atomic cimport store_relaxed_u32
from pong.kernel.layout cimport PONG_MAX_SLOTS, PONG_RECEIVER_CLOSED, PONG_SENDER_CLOSED
from pong.kernel.wait cimport notify_link_rt, notify_pool_rt
from pong.streams.base cimport capture_state, playback_state
from pong.streams.process cimport Chain


cdef object as_number(object value, str name, str range, double least, bint least_too):
    """Return a finite number from ``least`` up, or raise an error that says the range."""
    if isinstance(value, (bool, str, bytes)) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"{name} must be a number, not {value!r}")
    try:
        finite = math.isfinite(value)
    except OverflowError:
        # An int that no float can hold.
        finite = False
    if not finite or value < least or (value == least and not least_too):
        raise ValueError(f"{name} must be {range} and finite, not {value!r}")
    return value


def check_buffers(buffers):
    """Raise unless this is a number of buffers that a pool may have."""
    as_count(buffers, "buffers", 1, PONG_MAX_SLOTS)


cdef Link open_end(object end, str name, bint planar=False):
    """Return the link of a `Sender` or `Receiver`, or raise because it is closed, or planar where that cannot be."""
    cdef Link link = (<Sender>end).link if isinstance(end, Sender) else (<Receiver>end).link
    if link is None or end.closed:
        raise ClosedError(f"the {name} is closed")
    if not planar and link.a.header.plane and (<Views>link.views).channels > 1:
        raise ValueError(
            f"the {name} is of a planar pool (order='F'), and this device takes interleaved frames (order='C'); "
            "planes are for backend 'jack'"
        )
    return link


cdef tuple format_of(Link link):
    """Return channels and dtype of a link's pool."""
    cdef Views views = <Views>link.views
    return views.channels, views.dtype


cdef int silence_of(object dtype):
    """Return the byte that silence is made of: the middle of the range (PortAudio's paUInt8 says the same)."""
    return 0x80 if dtype == np.uint8 else 0


cdef Chain chain_of(object process, Link link):
    """Return what is to run on a link's blocks; it lives as long as the native stream."""
    channels, dtype = format_of(link)
    return Chain(process, channels, dtype)


cdef Chain set_capture(capture_state* c, Link link, int time_source, double samplerate, object process):
    """Begin the state of a capture; the caller keeps what is returned."""
    cdef Chain chain = chain_of(process, link)
    c.a = link.a
    c.link = link.index
    c.slot = -1
    c.time_source = time_source
    c.samplerate = samplerate
    c.steps = &chain.c if chain.c.number else NULL
    return chain


cdef Chain set_playback(playback_state* p, Link link, double samplerate, object process):
    """Begin the state of a playback; the caller keeps what is returned."""
    cdef Chain chain = chain_of(process, link)
    p.a = link.a
    p.link = link.index
    p.slot = -1
    p.silence = silence_of(format_of(link)[1])
    p.samplerate = samplerate
    p.time = NAN
    p.time_source = PONG_DEVICE_TIME
    p.steps = &chain.c if chain.c.number else NULL
    return chain


cdef list bind_links(tuple sending, tuple receiving):
    """Become what Python may not be meanwhile: acquirer of pools, sender and receiver of links; or raise.

    Return what `unbind` gives back; links may be None.
    """
    cdef Link link
    cdef list done = []
    try:
        for link in sending:
            if link is not None:
                if link.a.control.bound or link.sends_natively:
                    raise RuntimeError("another stream acquires from the pool, or sends on the link")
                link.begin_sending()
                link.a.control.bound = 1
                done.append((link, PONG_SENDER_CLOSED))
        for link in receiving:
            if link is not None:
                link.begin_receiving()
                done.append((link, PONG_RECEIVER_CLOSED))
    except BaseException:
        unbind(done)
        raise
    for link, _ in done:
        # Whoever waits in Python for what is now the device's is told.
        notify_pool_rt(link.a)
        notify_link_rt(link.a, link.place)
    return done


cdef void unbind(list bound):
    """Give the sides of links back that a native stream has used."""
    cdef Link link
    for link, side in bound:
        if side == PONG_SENDER_CLOSED:
            store_relaxed_u32(&link.a.control.bound, 0)
        link.end_native(side)


class GivenLink:
    """A pool, or a link, that the program gives to a stream.

    Attributes
    ----------
    channels, dtype, order, blocksize, samplerate
        Of the pool; a link does not know the samplerate, which is None then.
    """

    def __init__(self, pool, link, name):
        self.pool, self.link, self.name = pool, link, name
        self.samplerate = None
        if pool is not None:
            self.channels, self.dtype, self.blocksize = pool.channels, pool.dtype, pool.blocksize
            self.samplerate, self.order = pool.samplerate, pool.order
            return
        sender_link, receiver_link = open_end(link[0], "sender", True), open_end(link[1], "receiver", True)
        if sender_link is not receiver_link:
            raise ValueError("link must be the two ends of one link: what `BufferPool.link` returned")
        self.channels, self.dtype = format_of(sender_link)
        self.blocksize = sender_link.a.header.blocksize
        self.order = "F" if sender_link.a.header.plane else "C"

    def ends(self, wanted, order, blocksize):
        """Return pool, sender and receiver, None for what is not there, or raise because they do not fit."""
        if (self.channels, self.dtype) != tuple(wanted) or self.blocksize != blocksize:
            raise ValueError(
                f"{self.name} pool has {self.channels} channels of {self.dtype} in blocks of {self.blocksize}, but the "
                f"stream {wanted[0]} channels of {wanted[1]} in blocks of {blocksize}"
            )
        # One channel is the same memory in both orders.
        if self.order != order and self.channels > 1:
            raise ValueError(f"{self.name} pool has order {self.order!r}, but the stream order {order!r}")
        return self.pool, *(self.link or (None, None))


def link_of(pool, link, name):
    """Return what the program gives for one direction, or None.

    Parameters
    ----------
    pool : BufferPool or None
    link : (Sender, Receiver) or None
        One of them at most.
    name : str
        Whose they are, for errors.

    Returns
    -------
    GivenLink or None

    Raises
    ------
    TypeError, ValueError
        Something else, or both.
    ClosedError
        An end of the link is closed.
    """
    if pool is None and link is None:
        return None
    if pool is not None and link is not None:
        raise ValueError("pool or link, not both: a link has its pool")
    if pool is not None and not isinstance(pool, BufferPool):
        raise TypeError(f"pool must be a BufferPool, not {pool!r}")
    if link is not None and not (
        isinstance(link, tuple) and len(link) == 2 and isinstance(link[0], Sender) and isinstance(link[1], Receiver)
    ):
        raise TypeError(f"link must be what `BufferPool.link` returned, not {link!r}")
    return GivenLink(pool, link, name)
