"""A link's two ends: `Sender` and `Receiver`, and the waiting between them."""
import os

cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from pong._arena cimport FOREVER, LINKS, NOW, as_count, balance_add, deadline_of, sleep_on
from pong._batch cimport Batch, as_part
from pong._buffer cimport Buffer, as_tag, attach, blank_buffer
from pong._pool cimport BufferPool
from pong._views cimport Views, drop_set, view_set
from pong._pool import set_link_factory
from pong.errors import ClosedError, DetachedError, Empty
from pong.kernel.arena cimport arena_wiped
from pong.kernel.atomic cimport load_relaxed_u64, load_seq_cst_u32, store_relaxed_u32
from pong.kernel.layout cimport (
    PONG_HAS_MESSAGE, PONG_RECEIVER_CLOSED, PONG_SENDER_CLOSED, pong_slot,
)
from pong.kernel.platform cimport pong_event_clear, pong_event_close, pong_event_open, pong_event_signal
from pong.kernel.ring cimport ring_look_rt
from pong.kernel.opening cimport link_begin, link_close, link_closed, link_end, link_find_idle
from pong.kernel.transfer cimport SENT, recv_rt, release_rt, send_batch_rt, send_rt
from pong.kernel.wait cimport prepare_wait

cdef uint32_t BOTH = PONG_SENDER_CLOSED | PONG_RECEIVER_CLOSED


@cython.final
cdef class Link:
    """What both ends share: the place in the arena, the messages, the file descriptor."""

    def __cinit__(self):
        self.ended = BOTH
        self.read_fd = self.write_fd = -1
        self.messages = {}

    def __dealloc__(self):
        if self.views == NULL:
            return
        # Both ends have been closed by their finalizers: the place in the arena may be another link's by now.
        if self.read_fd >= 0:
            pong_event_close(self.read_fd, self.write_fd)
        balance_add(LINKS, -1)
        Py_XDECREF(self.views)

    cdef int check_sender(self) except -1:
        """Raise unless Python may send."""
        cdef uint32_t refused = self.ended | self.sends_natively | link_closed(self.a, self.index)
        # C5: pairs with C4. A pool that was closed before is seen closed.
        if refused | load_seq_cst_u32(&self.a.control.closed):
            self.refuse_sender()
        return 0

    cdef int refuse_sender(self) except -1:
        """Say why Python may not send."""
        if self.ended & PONG_SENDER_CLOSED:
            raise ClosedError("the sender is closed")
        if link_closed(self.a, self.index) & PONG_RECEIVER_CLOSED:
            raise ClosedError("the receiver is closed")
        if link_closed(self.a, self.index) & PONG_SENDER_CLOSED:
            raise ClosedError("the native stream that sent on this link has ended")
        if self.sends_natively:
            raise RuntimeError("a native stream sends on this link: Python cannot")
        raise ClosedError("the pool is closed")

    cdef int refuse_receiver(self) except -1:
        """Say why Python may not receive."""
        raise RuntimeError("a native stream receives from this link: Python cannot")

    cdef int check_message(self) except -1:
        """Raise unless the receiver can take a message: any Python object."""
        if self.receives_natively:
            raise TypeError("a native stream receives from this link: it cannot take a message, a Python object")
        return 0

    cdef void close_side(self, uint32_t side):
        """Close one side; the receiver's sends what is queued home, whoever comes last ends the link."""
        cdef object dropped = None
        with cython.critical_section(self):
            if self.ended & side:
                return
            self.ended |= side
            if side == PONG_RECEIVER_CLOSED:
                # They go at the end, when everything is in its place: to drop one may run any code.
                dropped = self.messages
                self.messages = None
            if arena_wiped(self.a):
                return
            link_close(self.a, self.index, side)
            self.tidy()
        dropped = None

    cdef void tidy(self) noexcept:
        """Send home what nobody will receive; the last user gives the place in the arena back."""
        # While a native stream receives, nobody else may: it drains when it ends.
        if self.ended & PONG_RECEIVER_CLOSED and not self.receives_natively:
            self.drain()
        if self.ended == BOTH and not self.sends_natively and not self.receives_natively:
            # Nobody is left to signal it; the descriptor itself is closed with this object.
            store_relaxed_u32(<uint32_t*>&self.place.control.fd, <uint32_t>-1)
            link_end(self.a, self.index)

    cdef int begin_sending(self) except -1:
        """Give the sending side to a native stream, or say why it cannot have it."""
        self.check_sender()
        self.sends_natively = True
        return 0

    cdef int begin_receiving(self) except -1:
        """Give the receiving side to a native stream, or say why it cannot have it."""
        if self.ended & PONG_RECEIVER_CLOSED:
            raise ClosedError("the receiver is closed")
        if self.receives_natively:
            raise RuntimeError("another native stream receives from this link")
        if self.messages:
            raise TypeError("a native stream cannot receive messages, and some are queued in this link")
        self.receives_natively = True
        return 0

    cdef void end_native(self, uint32_t side):
        """Say that the native stream of one side has ended and uses the link no more."""
        with cython.critical_section(self):
            if side == PONG_SENDER_CLOSED:
                self.sends_natively = False
            else:
                self.receives_natively = False
            if not arena_wiped(self.a):
                self.tidy()

    cdef int forget(self, dict messages) except -1:
        """Take messages of a refused `Sender.send_many` back."""
        for slot, message in messages.items():
            if self.messages.get(slot) is message:
                del self.messages[slot]
        return 0

    cdef void drain(self) noexcept:
        """Release every queued buffer."""
        cdef uint64_t word
        cdef int32_t slot
        while True:
            slot = recv_rt(self.a, self.index, &word)
            if slot < 0:
                return
            release_rt(self.a, slot, word)

    cdef bint is_over(self) noexcept:
        """Tell whether nothing more can come, but for what is in the ring; to be asked before looking there."""
        return (
            self.ended & PONG_RECEIVER_CLOSED
            or link_closed(self.a, self.index) & PONG_SENDER_CLOSED
            # C7: pairs with C4. Sequentially consistent, because a waiter looks here after it has set its bit.
            or load_seq_cst_u32(&self.a.control.closed)
            or arena_wiped(self.a)
        )

    cdef bint waiting(self) noexcept:
        """Tell whether a message is in the ring."""
        cdef uint32_t slot
        return not self.ended & PONG_RECEIVER_CLOSED and ring_look_rt(
            self.a, self.index, load_relaxed_u64(&self.place.receiver.tail), &slot
        )

    cdef bint take(self, Buffer buf):
        """Attach the next message to a blank handle, or return False."""
        cdef uint64_t word
        cdef int32_t slot
        with cython.critical_section(self):
            if self.ended & PONG_RECEIVER_CLOSED or self.receives_natively:
                return False
            slot = recv_rt(self.a, self.index, &word)
            if slot < 0:
                if self.read_fd >= 0:
                    self.rearm()
                return False
            # The handle owns the slot before anything can raise.
            attach(buf, <Views>self.views, slot, word)
            if self.a.slots[slot].flags & PONG_HAS_MESSAGE:
                self.a.slots[slot].flags = 0
                buf._message = self.messages.pop(slot)
            if self.read_fd >= 0:
                self.rearm()
        return True

    cdef void rearm(self) noexcept:
        """Make the file descriptor readable exactly while a message, or the end, is there."""
        if self.waiting() or self.is_over():
            return
        pong_event_clear(self.read_fd)
        prepare_wait(&self.place.control.event)
        if self.waiting() or self.is_over():
            pong_event_signal(self.write_fd)


def open_link(BufferPool pool):
    """Open a link of ``pool``: what `BufferPool.link` calls."""
    cdef Link link = Link.__new__(Link)
    cdef Sender sender = Sender.__new__(Sender)
    cdef Receiver receiver = Receiver.__new__(Receiver)
    cdef int32_t index
    with cython.critical_section(pool):
        index = link_find_idle(pool.a)
        if index < 0:
            raise RuntimeError(
                f"all {pool.a.header.max_links} links of the pool are open: close both ends of one, "
                "or make the pool with more max_links"
            )
        link_begin(pool.a, index)
    Py_INCREF(pool.views)
    link.views = <PyObject*>pool.views
    link.a = pool.a
    link.index = index
    link.place = &link.a.links[index]
    link.ended = 0
    balance_add(LINKS, 1)
    sender.link = link
    receiver.link = link
    return sender, receiver


set_link_factory(open_link)


@cython.final
cdef class Sender:
    """The end of a link that buffers go into. Made by `BufferPool.link`.

    Dropping the last reference closes it: the receiver gets what is queued, then `ClosedError`.
    """

    def __init__(self):
        raise TypeError("a Sender comes from BufferPool.link()")

    def __del__(self):
        self.close()

    cdef Link open_link(self):
        if self.link is None or self.link.ended & PONG_SENDER_CLOSED:
            raise ClosedError("the sender is closed")
        return self.link

    def send(self, Buffer buf not None, *, tag=None, message=None):
        """Transfer a buffer to the receiver. The handle is detached, its `samples` have length 0.

        Parameters
        ----------
        buf : Buffer
            An owned buffer of the link's pool.
        tag : int, optional
            Sets `Buffer.tag`: 64 bits, signed.
        message : object, optional
            Any object, for `Buffer.message` at the receiver.

        Raises
        ------
        DetachedError
            The buffer was already sent or released.
        BufferError
            Counted views of its samples still live; the text says how many.
        ClosedError
            The sender, the receiver or the pool is closed.
        ValueError, TypeError
            Not a buffer of this pool, or not a tag; or a message for a native receiver.
        RuntimeError
            A native stream sends on this link.

        Notes
        -----
        On any error nothing has changed. Thread: any. Blocks: no. Allocates: no, without a message.
        """
        cdef Link link = self.open_link()
        cdef pong_slot* s
        cdef int64_t new_tag = 0, old_tag
        cdef uint64_t word
        cdef view_set taken
        cdef int result
        if tag is not None:
            new_tag = as_tag(tag)
        with cython.critical_section(link, buf):
            link.check_sender()
            buf.check_sendable(<Views>link.views)
            s = buf.header()
            if message is not None:
                link.check_message()
                link.messages[buf.slot] = message
                s.flags = PONG_HAS_MESSAGE
            old_tag = s.tag
            if tag is not None:
                s.tag = new_tag
            word = buf.word
            taken = buf.leave()
            result = send_rt(link.a, link.index, buf.slot, &word)
            if result == SENT:
                buf.word = 0
            else:
                s.tag = old_tag
                s.flags = 0
                buf.come_back(taken, word)
                link.messages.pop(buf.slot, None)
        if result != SENT:
            raise ClosedError("the receiver was closed meanwhile")
        # Only now, when the move is over, may other code run.
        if taken.lease != NULL:
            drop_set(taken)
        if buf._message is not None:
            buf._message = None

    def send_many(self, items):
        """Transfer several buffers: all or none, and the receiver sees all of them at once.

        Parameters
        ----------
        items : iterable of Buffer or (Buffer, tag, message)
            The last two of a tuple may be left out, or be None.

        Raises
        ------
        DetachedError, BufferError, ClosedError, ValueError, TypeError, RuntimeError
            As `send`, for any of the buffers; also ValueError if one is named twice. An error that the iterable raises
            comes through. Nothing has changed then.

        Notes
        -----
        Thread: any. Blocks: no. Allocates: yes.
        """
        cdef Link link = self.open_link()
        cdef list parts = [as_part(item) for item in items]
        cdef Py_ssize_t i, number = len(parts)
        cdef dict messages = {}
        cdef set seen = set()
        cdef Batch batch = Batch(number)
        cdef Buffer buf
        cdef bint sent = False
        for i in range(number):
            batch.tags[i] = 0 if parts[i][1] is None else parts[i][1]
        with cython.critical_section(link):
            link.check_sender()
            for buf, _, message in parts:
                buf.check_sendable(<Views>link.views)
                if buf.slot in seen:
                    raise ValueError("a buffer is named twice")
                seen.add(buf.slot)
                if message is not None:
                    link.check_message()
                    messages[buf.slot] = message
            if not number:
                return
            try:
                for slot, message in messages.items():
                    link.messages[slot] = message
                # Once more: what was allocated may have let other code run (the garbage collector runs finalizers).
                # From here to the end of the move nothing is allocated.
                link.check_sender()
                for i in range(number):
                    (<Buffer>parts[i][0]).check_sendable(<Views>link.views)
            except BaseException:
                link.forget(messages)
                raise
            for i in range(number):
                batch.leave(i, <Buffer>parts[i][0], parts[i][1] is not None, parts[i][2] is not None)
            # Of what meets a close here no message is left behind: Python's waits for this section, and who receives
            # natively takes none.
            sent = send_batch_rt(link.a, link.index, batch.slots, batch.words, number)
            if not sent:
                for i in range(number):
                    batch.come_back(i, <Buffer>parts[i][0])
                link.forget(messages)
        if not sent:
            # Only where another thread can run meanwhile: free-threaded builds.
            raise DetachedError("a buffer was sent or released by another thread meanwhile")
        # Only now, when the move is over, may other code run.
        batch.drop()
        for i in range(number):
            (<Buffer>parts[i][0])._message = None

    @property
    def closed(self):
        """Whether this end is closed."""
        return self.link is None or self.link.ended & PONG_SENDER_CLOSED != 0

    def close(self):
        """Close this end: the receiver gets what is queued, then `ClosedError`. Closing twice changes nothing.

        Notes
        -----
        Thread: any. Blocks: no. Allocates: yes.
        """
        if self.link is not None:
            self.link.close_side(PONG_SENDER_CLOSED)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def __repr__(self):
        return "<pong.Sender closed>" if self.closed else f"<pong.Sender of link {self.link.index}>"

    def __reduce_ex__(self, protocol):
        raise TypeError("a Sender belongs to one process: it cannot be copied or pickled")


@cython.final
cdef class Receiver:
    """The end of a link that buffers come out of. Made by `BufferPool.link`.

    ``for buf in receiver:`` ends when the sender has closed and all is received; write ``with buf:`` inside the loop,
    or one more slot is held while the next buffer is awaited. Dropping the last reference closes it.
    """

    def __init__(self):
        raise TypeError("a Receiver comes from BufferPool.link()")

    def __del__(self):
        self.close()

    cdef Link open_link(self):
        if self.link is None or self.link.ended & PONG_RECEIVER_CLOSED:
            raise ClosedError("the receiver is closed")
        if self.link.receives_natively:
            self.link.refuse_receiver()
        return self.link

    def recv(self, timeout=None):
        """Return the next buffer.

        Parameters
        ----------
        timeout : float or None
            Seconds to wait for one; None waits for ever, 0 not at all.

        Returns
        -------
        Buffer
            A new handle that owns the block.

        Raises
        ------
        Empty
            Nothing came in time.
        ClosedError
            This end is closed; or the sender or the pool is, and everything has been received.
        TypeError, ValueError
            Not a timeout.
        RuntimeError
            A native stream receives from this link.

        Notes
        -----
        Thread: any; a buffer goes to exactly one call. Blocks: up to ``timeout``; Ctrl-C ends the wait and loses
        nothing. Allocates: no.
        """
        cdef uint64_t deadline = deadline_of(timeout)
        return self.take_until(deadline)

    def recv_nowait(self):
        """Return the next buffer, or raise `Empty` at once: ``recv(0)``.

        Raises
        ------
        Empty, ClosedError
            As `recv`.

        Notes
        -----
        Thread: any. Blocks: no. Allocates: no.
        """
        return self.take_until(NOW)

    cdef Buffer take_until(self, uint64_t deadline):
        cdef Link link = self.open_link()
        cdef Buffer buf = blank_buffer()
        if not link.take(buf):
            self.wait_and_take(link, buf, deadline)
        return buf

    cdef int wait_and_take(self, Link link, Buffer buf, uint64_t deadline) except -1:
        """Wait for a message and take it, or raise; a first look has found none."""
        cdef uint32_t seen
        cdef bint over
        while True:
            seen = 0 if deadline == NOW else prepare_wait(&link.place.control.event)
            # Closed is looked at before the ring: a message that was sent before the end is not missed.
            over = link.is_over()
            if link.take(buf):
                return 0
            if link.receives_natively:
                link.refuse_receiver()
            if over:
                raise ClosedError("the link is closed and everything has been received")
            if deadline == NOW:
                raise Empty("no buffer came within the timeout")
            if not sleep_on((<Views>link.views).arena, &link.place.control.event, seen, deadline):
                deadline = NOW
            elif link.take(buf):
                # Before the bit is set again: it would cost the next sender a wake-up of nobody.
                return 0

    def poll(self, timeout=0):
        """Tell whether a buffer is there, or the end (the next `recv` will not wait).

        Parameters
        ----------
        timeout : float or None
            Seconds to wait for it; None waits for ever.

        Returns
        -------
        bool

        Raises
        ------
        ClosedError
            This end is closed.
        TypeError, ValueError
            Not a timeout.

        Notes
        -----
        Thread: any. Blocks: up to ``timeout``. Allocates: no.
        """
        cdef Link link = self.open_link()
        cdef uint64_t deadline = deadline_of(timeout)
        cdef uint32_t seen
        while True:
            seen = 0 if deadline == NOW else prepare_wait(&link.place.control.event)
            if link.is_over() or link.waiting():
                return True
            if deadline == NOW:
                return False
            if not sleep_on((<Views>link.views).arena, &link.place.control.event, seen, deadline):
                deadline = NOW
            elif link.waiting():
                return True

    def drain(self, max=None):
        """Return all buffers that are there now, without waiting.

        Parameters
        ----------
        max : int, optional
            No more than these; 1 or more.

        Returns
        -------
        list of Buffer
            Empty when nothing is there.

        Raises
        ------
        ClosedError
            As `recv`.
        TypeError, ValueError
            ``max`` is not a number of buffers.

        Notes
        -----
        Thread: any. Blocks: no. Allocates: the list.
        """
        cdef Link link = self.open_link()
        cdef uint64_t most = <uint64_t>-1 if max is None else as_count(max, "max", 1, <uint64_t>-1)
        cdef bint over = link.is_over()
        cdef Buffer buf = blank_buffer()
        result = []
        while <uint64_t>len(result) < most and link.take(buf):
            result.append(buf)
            buf = blank_buffer()
        if over and not result:
            raise ClosedError("the link is closed and everything has been received")
        return result

    @cython.critical_section
    def fileno(self):
        """Return a file descriptor for ``select`` and its like, the same one at each call.

        When it turns readable a buffer or the end may be there: use `recv_nowait`. Do not read from it or close it.

        Raises
        ------
        ClosedError
            This end is closed.
        OSError
            The system gives no descriptor.

        Notes
        -----
        Thread: any. Blocks: no. Allocates: a file descriptor, once.
        """
        cdef Link link = self.open_link()
        cdef int error
        if link.read_fd < 0:
            error = pong_event_open(&link.read_fd, &link.write_fd)
            if error:
                raise OSError(error, f"{os.strerror(error)}: cannot make a file descriptor for the receiver")
            store_relaxed_u32(<uint32_t*>&link.place.control.fd, <uint32_t>link.write_fd)
            # It begins readable, which `rearm` relies on: a message that comes while it looks must not be missed.
            pong_event_signal(link.write_fd)
            link.rearm()
        return link.read_fd

    @property
    def closed(self):
        """Whether this end is closed."""
        return self.link is None or self.link.ended & PONG_RECEIVER_CLOSED != 0

    def close(self):
        """Close this end: queued buffers go home, `Sender.send` raises `ClosedError`. Closing twice changes nothing.

        Notes
        -----
        Thread: any. Blocks: no. Allocates: yes.
        """
        if self.link is not None:
            self.link.close_side(PONG_RECEIVER_CLOSED)

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return self.take_until(FOREVER)
        except ClosedError:
            raise StopIteration from None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def __repr__(self):
        return "<pong.Receiver closed>" if self.closed else f"<pong.Receiver of link {self.link.index}>"

    def __reduce_ex__(self, protocol):
        raise TypeError("a Receiver belongs to one process: it cannot be copied or pickled")
