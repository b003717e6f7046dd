"""PortAudio's devices, through sounddevice: a native callback in place of one in Python."""
import atexit
import numbers

cimport cython
from libc.math cimport NAN
from libc.stdint cimport uint32_t

from pong.errors import StreamError
from pong.kernel.meter cimport add_rt, count_rt
from pong.streams import at_exit
from pong.streams.callback cimport (
    enter_rt, hear_rt, jumped_rt, leave_rt, lose_rt, native_stream, silence_rt, sound_rt,
)
from pong.streams.hush import hushed
from pong.streams.native cimport NativeDevice
from pong.streams.opening import SoundCardSetup, name_of, sample_format

# From portaudio.h, whose binary interface has not changed since 2004: pong does not link to the library.
cdef enum:
    CONTINUE = 0
    COMPLETE = 1
    TROUBLE = 15                 # all flags but priming_output

ctypedef struct pa_time:
    double input_time            # when the first frame of the input was heard, seconds
    double now
    double output_time           # when the first frame of the output will be played


cdef int call_back_rt(
    const void* heard, void* sounded, unsigned long number, const pa_time* time, unsigned long flags, void* state
) noexcept nogil:
    """Be a PaStreamCallback."""
    cdef native_stream* s = <native_stream*>state
    cdef unsigned char* sounded_frames = <unsigned char*>sounded
    cdef uint32_t frames = <uint32_t>number
    cdef double when
    if not enter_rt(s, frames):
        if sounded != NULL:
            silence_rt(s, sounded_frames, NULL, 0, frames)
        return COMPLETE
    if flags & TROUBLE:
        count_rt(&s.xruns)
        s.status |= flags & TROUBLE
    # Some host APIs leave a time at 0 that they do not know.
    when = time.input_time if heard != NULL else time.output_time
    if when == 0:
        when = time.now
    if when != 0:
        lose_rt(s, jumped_rt(s, when, frames))
    if heard != NULL:
        hear_rt(s, <const unsigned char*>heard, NULL, 0, frames, when)
    if sounded != NULL:
        sound_rt(s, sounded_frames, NULL, 0, frames, time.output_time if time.output_time != 0 else NAN)
    add_rt(&s.position, frames)
    leave_rt(s)
    return CONTINUE if s.hears or s.sounds else COMPLETE


def on_jack(device):
    """Tell whether a device, or each of a pair, is JACK's."""
    import sounddevice

    number = device[0] if isinstance(device, tuple) else device
    return sounddevice.query_hostapis(sounddevice.query_devices(number)["hostapi"])["name"].startswith("JACK")


def callback_address():
    """Return the address of the PaStreamCallback; its user data is `NativeDevice.address`."""
    return <size_t>&call_back_rt


# A call into PortAudio never came back: no other may be made in this process.
hung = []


def library():
    """Import sounddevice.

    Raises
    ------
    ImportError
        It is not there: the extra ``portaudio`` brings it.
    OSError
        The PortAudio library is not there.
    StreamError
        PortAudio hangs in this process.
    """
    try:
        import sounddevice
    except Exception as error:
        # It initialises PortAudio, whose error is a class of the module that is not there then.
        if type(error).__name__ != "PortAudioError":
            raise
        raise StreamError(f"PortAudio cannot start: {error}") from error

    if hung:
        raise StreamError(
            "PortAudio is of no more use to this process, since its device or server has gone, or since it is a fork: "
            "start the program again"
        )
    # Its exit handler would end PortAudio under the streams.
    at_exit.first()
    return sounddevice


@cython.final
cdef class PortAudioDevice(NativeDevice):
    """A device of PortAudio.

    Parameters
    ----------
    options : dict
        For sounddevice's ``_StreamBase``: kind, device, channels, dtype, latency, blocksize and the rest.
    samplerate, capture, playback, prefill, stall_timeout
        As `NativeDevice`.

    Raises
    ------
    StreamError
        PortAudio refuses the parameters.
    """

    cdef object stream           # sounddevice's
    cdef dict options            # with which another one of its kind is opened
    cdef bint runs               # it was started

    def __init__(self, options, samplerate, **common):
        super().__init__(samplerate, **common)
        self.s.most = options["blocksize"]
        self.options = options | {"samplerate": samplerate}
        try:
            self.stream = self.open()
        except library().PortAudioError as error:
            raise StreamError(f"PortAudio cannot open the device: {error}") from error
        self.opened = True

    def open(self):
        """Open a stream of the device."""
        sounddevice = library()
        ffi = sounddevice._ffi
        return sounddevice._StreamBase(
            callback=ffi.cast("PaStreamCallback*", callback_address()), userdata=ffi.cast("void*", <size_t>self.s),
            wrap_callback=None, **self.options,
        )

    def begin(self):
        try:
            self.stream.start()
        except Exception as error:
            raise StreamError(f"PortAudio cannot start the device: {error}") from error
        self.runs = True

    def is_dead(self):
        """Tell whether the device's server is gone: then PortAudio does not open another stream of it.

        PortAudio 19.6 does not bear that a stream on JACK is closed then: it waits for the server, or calls abort().
        """
        import sounddevice

        try:
            # It writes what fails to standard error.
            with hushed():
                self.open().close()
        except (sounddevice.PortAudioError, StreamError):
            # The latter where it is known by now that PortAudio hangs.
            return True
        return False

    def halt(self, at_once):
        if on_jack(self.stream.device) and (hung or (not self.runs or self.s.failure) and self.is_dead()):
            self.give_up()
            return
        if at_once:
            self.stream.abort(ignore_errors=True)
        elif self.started:
            self.stream.stop()
        self.stream.close()

    def forsake(self):
        # A child can neither use nor end its parent's PortAudio.
        self.give_up()

    def give_up(self):
        # Its exit handler would hang as well, and keep the interpreter from ending.
        hung.append(self)
        import sounddevice

        atexit.unregister(sounddevice._exit_handler)

    def take_back(self):
        import sounddevice

        hung.remove(self)
        if hung:
            # Another one hangs; or this one's `halt`, which came back late, has left its stream as it is.
            return
        atexit.register(sounddevice._exit_handler)
        at_exit.first()

    def readings(self):
        return self.stream.time, self.stream.latency, self.stream.cpu_load


class PortAudioSetup(SoundCardSetup):
    """A device of PortAudio before it is opened: which one, and in which format.

    Parameters
    ----------
    request : Request
        What was asked for.
    """

    def __init__(self, request):
        request.refuse("portaudio", "callback")
        sounddevice = library()
        self.request = request
        for each in request.extra_settings:
            if each is not None and not hasattr(each, "_streaminfo"):
                raise TypeError(f"extra_settings must be one of sounddevice's for backend 'portaudio', not {each!r}")
        check_latency(request.latency)
        self.samplerate = request.samplerate
        self.period = request.callback_size or 0
        self.input = self.output = None
        for kind, there in (("input", request.hears), ("output", request.plays)):
            if there:
                setattr(self, kind, self.find(sounddevice, kind))

    def find(self, sounddevice, kind):
        """Return the format of one direction; its samplerate is the stream's where none was asked for."""
        place = ("input", "output").index(kind)
        channels, dtype = self.request.channels[place], self.request.dtype[place]
        device = self.request.device[place]
        try:
            info = sounddevice.query_devices(device, kind)
        except sounddevice.PortAudioError as error:
            which = f"default {kind} device" if device is None else f"{kind} device {device!r}"
            raise StreamError(f"PortAudio has no {which}: {error} (`pong devices` lists what there is)") from error
        if self.samplerate is None:
            self.samplerate = info["default_samplerate"]
        return sample_format(
            info[f"max_{kind}_channels"] if channels is None else channels, "float32" if dtype is None else dtype,
            ("float32", "int32", "int24", "int16", "int8", "uint8"), "portaudio",
        )

    def open(self, capture, playback, _, **common):
        """Open the device; see `VirtualSetup.open`."""
        request, formats = self.request, (self.input, self.output)
        channels = tuple(None if each is None else each.channels for each in formats)
        names = tuple(None if each is None else name_of(each.dtype) for each in formats)
        options = {
            "kind": request.kind, "device": request.device, "channels": channels, "dtype": names,
            "extra_settings": request.extra_settings,
        }
        if request.kind != "duplex":
            place = 0 if request.kind == "input" else 1
            options.update({name: value[place] for name, value in options.items() if name != "kind"})
        return PortAudioDevice(
            options | {"latency": request.latency, "blocksize": request.callback_size or 0} | request.flags,
            self.samplerate, capture=capture, playback=playback, **common,
        )


def check_latency(latency):
    """Raise unless a latency, or each of a pair, is one that PortAudio takes."""
    for each in latency if isinstance(latency, (tuple, list)) else (latency,):
        if each is None or (isinstance(each, str) and each in ("low", "high")):
            continue
        if isinstance(each, (bool, str)) or not isinstance(each, numbers.Real):
            raise TypeError(f"latency must be 'low', 'high' or seconds for backend 'portaudio', not {each!r}")
        if not 0 <= each < float("inf"):
            raise ValueError(f"latency must be 0 seconds or more for backend 'portaudio', not {each!r}")


def devices():
    """Return PortAudio's devices.

    Returns
    -------
    list of (str, int, int, float, str)
        Name, greatest number of channels of input and output, default samplerate, and host API.
    """
    sounddevice = library()
    try:
        apis, found = sounddevice.query_hostapis(), sounddevice.query_devices()
    except sounddevice.PortAudioError as error:
        raise StreamError(f"PortAudio cannot list devices: {error}") from error
    return [
        (each["name"], each["max_input_channels"], each["max_output_channels"], each["default_samplerate"],
         apis[each["hostapi"]]["name"])
        for each in found
    ]
