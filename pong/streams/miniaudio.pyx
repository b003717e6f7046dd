"""miniaudio's devices: a native callback in place of a generator."""
import numbers

cimport cython
from libc.stdint cimport uint32_t, uint64_t

from pong.errors import StreamError
from pong.kernel.atomic cimport load_relaxed_u64
from pong.kernel.meter cimport add_rt
from pong.kernel.platform cimport pong_now
from pong.streams.callback cimport (
    GONE, enter_rt, hear_rt, leave_rt, native_stream, shut_down, silence_rt, sound_rt,
)
from pong.streams.ends cimport PONG_MONOTONIC_TIME
from pong.streams.native cimport NativeDevice
from pong.streams.opening import SoundCardSetup, name_of, sample_format

FORMATS = ("uint8", "int16", "int24", "int32", "float32")
DEFAULT_RATE = 48000
DEFAULT_CHANNELS = 2

# Where a device keeps the user's pointer, in bytes, in the library that is loaded.
cdef size_t user_at = 0


def library():
    """Import miniaudio; return its functions and its foreign function interface.

    Raises
    ------
    ImportError
        It is not there: the extra ``miniaudio`` brings it.
    """
    global user_at
    import miniaudio

    user_at = miniaudio.ffi.offsetof("ma_device", "pUserData")
    return miniaudio.lib, miniaudio.ffi


cdef void data_rt(void* device, void* sounded, const void* heard, uint32_t number) noexcept nogil:
    """Be a ma_device_data_proc."""
    cdef native_stream* s = (<native_stream**>(<char*>device + user_at))[0]
    cdef double now
    cdef uint64_t began = pong_now()
    if not enter_rt(s, number):
        if sounded != NULL:
            silence_rt(s, <unsigned char*>sounded, NULL, 0, number)
        return
    if heard != NULL:
        # miniaudio tells no time: the last of these frames was heard about now.
        now = began * 1e-9
        hear_rt(s, <const unsigned char*>heard, NULL, 0, number, now - number * s.seconds_per_frame)
    if sounded != NULL:
        # Nor when it plays them: not before now.
        sound_rt(s, <unsigned char*>sounded, NULL, 0, number, began * 1e-9)
    add_rt(&s.position, number)
    add_rt(&s.busy, pong_now() - began)
    leave_rt(s)


cdef void end_of_device(void* device) noexcept nogil:
    """Be a ma_stop_proc: the device was stopped, or is not there any more."""
    shut_down((<native_stream**>(<char*>device + user_at))[0], GONE)


def check(result, what):
    """Raise unless miniaudio says that it worked; the number is one of its ``ma_result``."""
    if result != library()[0].MA_SUCCESS:
        raise StreamError(f"miniaudio cannot {what}: error {int(result)}")


@cython.final
cdef class MiniaudioDevice(NativeDevice):
    """A device of miniaudio.

    Parameters
    ----------
    setup : MiniaudioSetup
        Which device, and in which format.
    capture, playback, prefill, stall_timeout
        As `NativeDevice`.

    Raises
    ------
    StreamError
        miniaudio refuses.
    """

    cdef object device, config, context

    def __init__(self, setup, **common):
        super().__init__(setup.samplerate, **common)
        lib, ffi = library()
        self.s.capture.time_source = self.s.playback.time_source = PONG_MONOTONIC_TIME
        self.s.most = setup.callback_size
        kind = {"input": lib.ma_device_type_capture, "output": lib.ma_device_type_playback}
        config = lib.ma_device_config_init(kind.get(setup.kind, lib.ma_device_type_duplex))
        config.sampleRate = int(setup.samplerate)
        config.periodSizeInFrames = setup.callback_size
        config.dataCallback = ffi.cast("ma_device_data_proc", <size_t>&data_rt)
        config.stopCallback = ffi.cast("ma_stop_proc", <size_t>&end_of_device)
        config.pUserData = ffi.cast("void*", <size_t>self.s)
        for side, wanted, place in ((config.capture, setup.input, 0), (config.playback, setup.output, 1)):
            if wanted is not None:
                side.format = format_of(lib, name_of(wanted.dtype))
                side.channels = wanted.channels
                side.pDeviceID = setup.identities[place] or ffi.NULL
        self.config, self.context, self.device = config, setup.context, ffi.new("ma_device*")
        check(lib.ma_device_init(self.context, ffi.addressof(config), self.device), "open the device")
        self.opened = True

    def begin(self):
        check(library()[0].ma_device_start(self.device), "start the device")

    def halt(self, at_once):
        lib, _ = library()
        lib.ma_device_stop(self.device)
        lib.ma_device_uninit(self.device)

    def readings(self):
        seconds = self.s.seconds_per_frame * load_relaxed_u64(&self.s.position)
        load = load_relaxed_u64(&self.s.busy) * 1e-9 / seconds if seconds else 0.0
        # What miniaudio does not tell: a device delivers at a time what it holds.
        latency = load_relaxed_u64(&self.s.most) * self.s.seconds_per_frame
        return pong_now() * 1e-9, self.latencies(latency), min(1.0, load)


class MiniaudioSetup(SoundCardSetup):
    """A device of miniaudio before it is opened: which one, and in which format.

    Parameters
    ----------
    request : Request
        What was asked for. ``"null"`` is a device of miniaudio's own that hears and plays nothing, at a clock's pace.
    """

    def __init__(self, request):
        request.refuse("miniaudio", "callback", "latency", "extra_settings")
        self.kind = request.kind
        self.samplerate = DEFAULT_RATE if request.samplerate is None else request.samplerate
        if not isinstance(self.samplerate, numbers.Real) or self.samplerate not in range(1, 1 << 20):
            raise ValueError(f"samplerate must be whole and below {1 << 20} for miniaudio, not {self.samplerate!r}")
        self.callback_size = self.period = request.callback_size or 0
        self.context = open_context("null" in request.device)
        self.input = self.output = None
        self.identities = [None, None]
        for place, name in enumerate(request.device):
            if (request.hears, request.plays)[place]:
                channels, dtype = request.channels[place], request.dtype[place]
                wanted = sample_format(
                    DEFAULT_CHANNELS if channels is None else channels, "float32" if dtype is None else dtype,
                    FORMATS, "miniaudio",
                )
                setattr(self, ("input", "output")[place], wanted)
                if name not in (None, "null"):
                    self.identities[place] = identity_of(self.context, name, place)

    def open(self, capture, playback, _, **common):
        """Open the device; see `VirtualSetup.open`."""
        return MiniaudioDevice(self, capture=capture, playback=playback, **common)


def format_of(lib, name):
    """Return miniaudio's number of a sample format."""
    short = {"uint8": "u8", "int16": "s16", "int24": "s24", "int32": "s32", "float32": "f32"}
    return getattr(lib, f"ma_format_{short[name]}")


def open_context(nowhere):
    """Return miniaudio's context: the system's sound, or a device of its own that is none."""
    lib, ffi = library()
    context = ffi.new("ma_context*")
    backends = ffi.new("ma_backend[]", [lib.ma_backend_null]) if nowhere else ffi.NULL
    check(lib.ma_context_init(backends, 1 if nowhere else 0, ffi.NULL, context), "find a sound system")
    return ffi.gc(context, lib.ma_context_uninit)


def found_in(context):
    """Return miniaudio's devices: lists of (name, identity), of input and of output."""
    lib, ffi = library()
    infos = [ffi.new("ma_device_info**") for _ in range(2)]
    counts = [ffi.new("ma_uint32*") for _ in range(2)]
    check(lib.ma_context_get_devices(context, infos[1], counts[1], infos[0], counts[0]), "list devices")
    return [
        [(ffi.string(info[0][i].name).decode(), ffi.new("ma_device_id*", info[0][i].id)) for i in range(count[0])]
        for info, count in zip(infos, counts, strict=True)
    ]


def identity_of(context, name, place):
    """Return what miniaudio knows a device by, of which a part of the name is given."""
    if not isinstance(name, str):
        raise TypeError(f"device must be a part of the name of one of miniaudio's devices, not {name!r}")
    there = found_in(context)[place]
    fitting = [identity for each, identity in there if name in each]
    if len(fitting) != 1:
        raise ValueError(
            f"{name!r} is in the names of {len(fitting)} of miniaudio's devices, which are: "
            f"{', '.join(each for each, _ in there) or 'none'}"
        )
    return fitting[0]


def devices():
    """Return miniaudio's devices.

    Returns
    -------
    list of (str, int, int)
        Name, and whether it can be heard and played to, as 0 or 1.
    """
    heard, played = found_in(open_context(False))
    return [(name, 1, 0) for name, _ in heard] + [(name, 0, 1) for name, _ in played]
