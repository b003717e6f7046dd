"""`Device`: what virtual devices and those of libraries share."""
import os

from libc.stdint cimport uint32_t, uint64_t

from pong._arena cimport NOW, deadline_of, sleep_until
from pong.kernel.atomic cimport load_seq_cst_u32


cdef class Device:
    """A device behind a stream, from start to close."""

    def __cinit__(self, *_, **__):
        self.process = os.getpid()

    cdef bint is_over(self) noexcept:
        """Tell whether the device has ended."""
        # V6: pairs with V3, V5, N6. All that has ended it is seen.
        return load_seq_cst_u32(self.over) != 0

    cdef bint wiped(self):
        """Tell whether this is a forked child, where the device's threads are not."""
        return os.getpid() != self.process

    cdef int begin_wait(self) except -1:
        """Raise where nobody may wait."""
        return 0

    cdef int end_wait(self) except -1:
        """Do what is due once somebody sees that the device has ended."""
        return 0

    def wait(self, timeout=None):
        """Wait until the device has ended.

        Parameters
        ----------
        timeout : float or None
            Seconds to wait; None waits for ever.

        Returns
        -------
        bool
            Whether it has ended.

        Raises
        ------
        RuntimeError
            It was never started, or this is its own callback.
        TypeError, ValueError
            Not a timeout.

        Notes
        -----
        Thread: any but the device's. Blocks: up to ``timeout``, where Ctrl-C ends the wait; then until a library has
        stopped its device, or is taken to hang. Allocates: no.
        """
        cdef uint64_t deadline = deadline_of(timeout)
        if not self.started:
            raise RuntimeError("the device was not started")
        self.begin_wait()
        while not self.is_over() and not self.wiped():
            if (deadline == NOW or not sleep_until(<uint32_t*>self.over, 0, deadline)) and not self.is_over():
                return False
        if not self.wiped():
            self.end_wait()
        return True

    def start(self):
        """Start the device."""
        raise NotImplementedError

    def close(self):
        """End the device."""

    def forsake(self):
        """In a forked child: see that nothing of the parent's device is ended when this object goes."""

    @property
    def active(self):
        """Whether it is started and has not ended."""
        return self.started and not self.is_over() and not self.wiped()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.close()

    def __del__(self):
        # A finalizer, not a deallocator: its threads must end before anything that they use goes.
        self.close()

    def __reduce_ex__(self, protocol):
        raise TypeError(f"a {type(self).__name__} is a device of this process: it cannot be copied or pickled")
