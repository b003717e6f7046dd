"""How each contender records, in a process of its own: callback, a buffer of so many blocks, and Python's end of it.

Libraries are imported when a way is opened.
"""

import contextlib
import queue
import time

__all__ = ["PERIOD", "RATE", "SOURCE"]

RATE = 48000                 # of the server, in frames per second, unless the case has another
PERIOD = 128                 # frames of a callback, and of a block
BLOCKS = 512                 # that can be on their way, for everybody: 1.4 seconds of sound; 2.0 at 8 kHz, 0.7 at 192
MOST = 1024                  # that a pool of pong can have
SOURCE = "ramp"              # the signal source among the server's clients, with ports "ramp:out_1" and "ramp:out_2"
POLL = 0.001                 # seconds, where nothing wakes the reader
MILLISECONDS = 3             # what comes next to `PERIOD`


class Way:
    """One way to record.

    Parameters
    ----------
    rate : int
        The server's.

    Attributes
    ----------
    blocks : int
        How many can be on their way.
    channels : int
        One, unless the library cannot.
    called : int or None
        The frames of all callbacks; None where nobody counts them.
    """

    channels = 1
    called = None

    def __init__(self, rate):
        self.rate = rate
        # A power of two, as PortAudio's ring wants it.
        self.blocks = min(MOST, 1 << (BLOCKS * rate // RATE - 1).bit_length())

    def open(self):
        """Begin to record."""
        raise NotImplementedError

    def pull(self, take, timeout):
        """Give ``take`` all there is; where nothing is, wait up to ``timeout`` seconds."""
        raise NotImplementedError

    def stop(self):
        """Record no more."""
        raise NotImplementedError

    def rest(self, take):
        """Give what was left when it stopped."""
        self.pull(take, 0)

    def close(self):
        """Give everything back."""


class Pong(Way):
    """pong: native callbacks fill buffers, which Python gets and releases."""

    def open(self):
        import pong

        # Under load a callback may come late; a stream that stalls is not what is looked for here.
        self.stream = pong.InputStream(
            blocksize=PERIOD, device=SOURCE, channels=1, dtype="float32", backend=self.backend, buffers=self.blocks,
            stall_timeout=10, samplerate=self.rate,
        )
        self.empty, self.closed = pong.Empty, pong.ClosedError
        self.stream.start()

    def pull(self, take, timeout):
        with contextlib.suppress(self.empty, self.closed):
            with self.stream.recv(timeout) as buf:
                take(buf.samples, buf.gap)
            del buf
            for buf in self.stream.drain():
                with buf:
                    take(buf.samples, buf.gap)

    def stop(self):
        self.stream.abort()
        self.called = self.stream.stats().callbacks * PERIOD

    def close(self):
        self.stream.close()


class PongPortAudio(Pong):
    backend = "portaudio"


class PongJack(Pong):
    backend = "jack"


class Queued(Way):
    """A callback in Python that puts what it keeps into a bounded queue, and drops what does not go in."""

    def __init__(self, rate):
        super().__init__(rate)
        self.queue = queue.Queue(self.blocks)
        self.called = 0

    def put(self, kept, frames):
        self.called += frames
        with contextlib.suppress(queue.Full):
            self.queue.put_nowait(kept)

    def pull(self, take, timeout):
        with contextlib.suppress(queue.Empty):
            take(self.queue.get(timeout=timeout) if timeout else self.queue.get_nowait())
            while True:
                take(self.queue.get_nowait())


class SoundDevice(Queued):
    """sounddevice's `InputStream`, whose callback copies."""

    def open(self):
        import sounddevice

        def callback(indata, frames, time, status):
            self.put(indata.copy(), frames)

        self.stream = sounddevice.InputStream(self.rate, 0, SOURCE, 1, "float32", callback=callback)
        self.stream.start()

    def stop(self):
        self.stream.stop()

    def close(self):
        self.stream.close()


class RawSoundDevice(SoundDevice):
    """sounddevice's `RawInputStream`, without NumPy."""

    def open(self):
        import sounddevice

        def callback(indata, frames, time, status):
            self.put(bytes(indata), frames)

        self.stream = sounddevice.RawInputStream(self.rate, 0, SOURCE, 1, "float32", callback=callback)
        self.stream.start()


class Reading(Way):
    """sounddevice's `RawInputStream` without a callback: `read` waits at PortAudio's own ring, as long as asked for."""

    # With one, PortAudio 19.6 corrupts its heap on JACK, and malloc ends the program.
    channels = 2

    def open(self):
        import sounddevice

        latency = self.blocks * PERIOD / self.rate
        self.stream = sounddevice.RawInputStream(self.rate, 0, SOURCE, self.channels, "float32", latency=latency)
        self.stream.start()

    def pull(self, take, timeout):
        samples, _ = self.stream.read(max(PERIOD, self.stream.read_available))
        take(samples)

    def stop(self):
        self.left = self.stream.read_available
        if self.left:
            self.last, _ = self.stream.read(self.left)
        self.stream.stop()

    def rest(self, take):
        if self.left:
            take(self.last)

    def close(self):
        self.stream.close()


class RtMixer(Way):
    """rtmixer's `Recorder`: a native callback fills PortAudio's ring buffer, at which Python looks now and then."""

    def open(self):
        import rtmixer

        self.stream = rtmixer.Recorder(device=SOURCE, channels=1, samplerate=self.rate, blocksize=0)
        self.ring = rtmixer.RingBuffer(4, self.blocks * PERIOD)
        self.stream.record_ringbuffer(self.ring)
        self.stream.start()

    def pull(self, take, timeout):
        until = time.monotonic() + timeout
        while True:
            samples = self.ring.read()
            if len(samples):
                take(samples)
                return
            if time.monotonic() >= until:
                return
            time.sleep(POLL)

    def stop(self):
        self.stream.stop()
        self.called = self.stream.stats.blocks * PERIOD

    def close(self):
        self.stream.close()


class PyAudio(Queued):
    """PyAudio's callback, which gets bytes of its own."""

    def open(self):
        import pyaudio

        def callback(data, frames, time, status):
            self.put(data, frames)
            return None, pyaudio.paContinue

        self.library = pyaudio.PyAudio()
        devices = map(self.library.get_device_info_by_index, range(self.library.get_device_count()))
        (place,) = (device["index"] for device in devices if device["name"] == SOURCE)
        self.stream = self.library.open(
            self.rate, 1, pyaudio.paFloat32, input=True, input_device_index=place,
            frames_per_buffer=pyaudio.paFramesPerBufferUnspecified, stream_callback=callback,
        )

    def stop(self):
        self.stream.stop_stream()

    def close(self):
        self.stream.close()
        self.library.terminate()


class JackClient(Queued):
    """JACK-Client's process callback, which copies."""

    def open(self):
        import jack

        self.client = jack.Client("contender", no_start_server=True)
        port = self.client.inports.register("in")

        @self.client.set_process_callback
        def process(frames):
            self.put(port.get_array().copy(), frames)

        self.client.activate()
        self.client.connect(f"{SOURCE}:out_1", port)

    def stop(self):
        self.client.deactivate()

    def close(self):
        self.client.close()


class MiniAudio(Queued):
    """miniaudio's capture device on JACK, whose generator gets bytes of its own."""

    # With another number than the sound card has it opens none.
    channels = 2

    def open(self):
        import jack
        import miniaudio

        def blocks():
            while True:
                data = yield
                self.put(data, len(data) // (4 * self.channels))

        self.device = miniaudio.CaptureDevice(
            miniaudio.SampleFormat.FLOAT32, self.channels, self.rate, MILLISECONDS, backends=[miniaudio.Backend.JACK],
            app_name="contender",
        )
        generator = blocks()
        next(generator)
        self.device.start(generator)
        # It connects itself to the sound card, and takes no other device.
        with jack.Client("control", no_start_server=True) as control:
            for number, port in enumerate(control.get_ports("contender:", is_input=True), 1):
                for other in control.get_all_connections(port):
                    control.disconnect(other, port)
                control.connect(f"{SOURCE}:out_{number}", port)

    def stop(self):
        self.device.stop()

    def close(self):
        self.device.close()
