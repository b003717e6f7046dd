"""JACK, through JACK-Client: the server's process callback in native code."""
import weakref

cimport cython
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from pong.errors import StreamError
from pong.kernel.atomic cimport load_relaxed_u32, load_relaxed_u64, store_relaxed_u32, store_relaxed_u64
from pong.kernel.meter cimport add_rt, count_rt
from pong.streams.base cimport INPUT_OVERFLOW, OUTPUT_UNDERFLOW
from pong.streams.callback cimport (
    CHANGED, GONE, enter_rt, hear_rt, leave_rt, lose_rt, native_stream, shut_down, silence_rt, sound_rt,
)
from pong.streams.jack_client import close_client, connect, open_client
from pong.streams.jack_names import check_settings, client_of, ports_of
from pong.streams.native cimport NativeDevice
from pong.streams.opening import SoundCardSetup, sample_format
from pong.streams.settings import JackSettings
from pong.streams.unpaced cimport wait_and_hear, wait_and_sound

ctypedef struct jack_state:
    native_stream s              # the first member: both have one address
    void* client
    void* (*port_buffer)(void* port, uint32_t frames) noexcept nogil
    uint32_t (*cycle_begin)(const void* client) noexcept nogil
    int (*connected_to)(const void* port, const char* name) noexcept nogil
    uint32_t inputs
    uint32_t outputs
    uint64_t frame               # where the server's clock will be at the next callback; any thread may read it
    uint64_t told                # xruns that a block was told of
    uint32_t anew                # the server's clock begins anew with the next callback
    uint32_t wired               # the server has been asked for all connections
    uint32_t awaited             # the first so many ports were not seen connected yet
    uint64_t waited              # frames of the cycles since then
    # As many as there are ports: those of input and output, their memory in this cycle, and where the name of what each
    # is to be connected to begins, or NULL. Behind them the names.
    void* places[1]


cdef inline uint64_t jack_jump_rt(jack_state* j, uint32_t number) noexcept nogil:
    """Move the clock on by a callback; return how many frames were lost before it.

    The server counts its frames with 32 bits, exactly, and a callback that was missed is missing in the count. But
    where freewheel begins or ends it goes on from another number, and nothing is lost.
    """
    cdef uint32_t now = j.cycle_begin(j.client)
    cdef int32_t ahead
    cdef uint64_t lost = 0
    if j.frame == 0:
        store_relaxed_u64(&j.frame, now)
    ahead = <int32_t>(now - <uint32_t>j.frame)
    if ahead > 0 and not load_relaxed_u32(&j.anew) and not load_relaxed_u32(&j.s.waits):
        lost = ahead
    store_relaxed_u32(&j.anew, 0)
    add_rt(&j.frame, <uint64_t>(<int64_t>ahead + number))
    return lost


cdef inline bint wired_rt(jack_state* j, uint32_t number) noexcept nogil:
    """Tell whether the ports are connected as they are to be: what was played into them before would be lost.

    A server says so when it is going to do it. JACK 2 does it between two cycles, once all clients have done the first;
    and never where it ignores what clients ask for, or somebody has disconnected them at once. So this ends after a
    second of the server's time.
    """
    cdef void** names = j.places + 2 * (j.inputs + j.outputs)
    cdef uint32_t i
    if not load_relaxed_u32(&j.wired):
        return False
    while j.awaited and j.waited < j.s.samplerate:
        i = j.awaited - 1
        if names[i] != NULL and j.connected_to(j.places[i], <const char*>names[i]) <= 0:
            j.waited += number
            return False
        j.awaited = i
    return True


cdef inline float** begin_cycle_rt(jack_state* j, uint32_t number) noexcept nogil:
    """Begin a callback; return the ports' memory, or NULL if the stream has not begun or is over."""
    cdef native_stream* s = &j.s
    cdef void** memory = j.places + j.inputs + j.outputs
    cdef bint wired = wired_rt(j, number)
    cdef uint32_t i
    cdef uint64_t xruns = load_relaxed_u64(&s.xruns)
    # Ports' memory may be elsewhere in each cycle, says JACK's documentation.
    for i in range(j.inputs + j.outputs):
        memory[i] = j.port_buffer(j.places[i], number)
    if not wired:
        # No stall, and no loss.
        count_rt(&s.looks)
        j.told = xruns
    if not wired or not enter_rt(s, number):
        silence_rt(s, NULL, <float**>memory + j.inputs, 0, number)
        return NULL
    lose_rt(s, jack_jump_rt(j, number))
    if xruns != j.told:
        j.told = xruns
        s.status |= INPUT_OVERFLOW | OUTPUT_UNDERFLOW
    return <float**>memory


cdef inline void end_cycle_rt(jack_state* j, uint32_t number) noexcept nogil:
    """End a callback."""
    add_rt(&j.s.position, number)
    leave_rt(&j.s)


cdef void process_rt(jack_state* j, uint32_t number) noexcept nogil:
    """Do one of the server's cycles in real time."""
    cdef float** memory = begin_cycle_rt(j, number)
    if memory == NULL:
        return
    if j.inputs:
        hear_rt(&j.s, NULL, <const float* const*>memory, 0, number, (j.frame - number) * j.s.seconds_per_frame)
    if j.outputs:
        # What is written in a cycle is played in the next.
        sound_rt(&j.s, NULL, memory + j.inputs, 0, number, j.frame * j.s.seconds_per_frame)
    end_cycle_rt(j, number)


cdef void process_unpaced(jack_state* j, uint32_t number) noexcept nogil:
    """Do one of the server's cycles while it has no clock."""
    cdef float** memory = begin_cycle_rt(j, number)
    if memory == NULL:
        return
    if j.inputs:
        wait_and_hear(&j.s, <const float* const*>memory, number, (j.frame - number) * j.s.seconds_per_frame)
    if j.outputs:
        wait_and_sound(&j.s, memory + j.inputs, number, j.frame * j.s.seconds_per_frame)
    end_cycle_rt(j, number)


cdef int process(uint32_t number, void* argument) noexcept nogil:
    """Be a JackProcessCallback."""
    cdef jack_state* j = <jack_state*>argument
    if load_relaxed_u32(&j.s.waits):
        process_unpaced(j, number)
    else:
        process_rt(j, number)
    return 0


cdef int xrun_rt(void* argument) noexcept nogil:
    """Be a JackXRunCallback."""
    count_rt(&(<jack_state*>argument).s.xruns)
    return 0


cdef void freewheel(int starting, void* argument) noexcept nogil:
    """Be a JackFreewheelCallback: while the server has no clock, the callback may wait for the program."""
    store_relaxed_u32(&(<jack_state*>argument).s.waits, starting != 0)
    store_relaxed_u32(&(<jack_state*>argument).anew, 1)


cdef int change_rate(uint32_t rate, void* argument) noexcept nogil:
    """Be a JackSampleRateCallback."""
    cdef native_stream* s = &(<jack_state*>argument).s
    if rate != s.samplerate:
        shut_down(s, CHANGED)
    return 0


def rate_callback_address():
    """Return the address of the JackSampleRateCallback; its argument is `NativeDevice.address`."""
    return <size_t>&change_rate


cdef void lose_server(int status, const char* reason, void* argument) noexcept nogil:
    """Be a JackInfoShutdownCallback."""
    shut_down(&(<jack_state*>argument).s, GONE)


# Devices whose clients may be open.
clients = weakref.WeakSet()


@cython.final
cdef class JackDevice(NativeDevice):
    """A client of a JACK server.

    Parameters
    ----------
    setup : JackSetup
        The client, not active yet, and what its ports are to be connected to.
    capture, playback, prefill, stall_timeout
        As `NativeDevice`.

    Raises
    ------
    StreamError
        The server refuses ports.
    """

    planar = True

    cdef object client           # JACK-Client's
    cdef object setup
    cdef list ports

    def __init__(self, setup, **common):
        import jack

        number = [0 if each is None else each.channels for each in (setup.input, setup.output)]
        names = [None if other is None else other.name.encode() + b"\0" for other in setup.others]
        text = b"".join(filter(None, names))
        self.make_state(sizeof(jack_state) + 3 * sum(number) * sizeof(void*) + len(text))
        super().__init__(setup.samplerate, **common)
        self.setup, self.client = setup, setup.client
        self.opened = True
        clients.add(self)
        cdef jack_state* j = <jack_state*>self.s
        cdef char* name
        lib, ffi = jack._lib, jack._ffi
        try:
            self.ports = [self.client.inports.register(f"input_{i + 1}") for i in range(number[0])]
            self.ports += [self.client.outports.register(f"output_{i + 1}") for i in range(number[1])]
            j.inputs, j.outputs = number
            j.awaited = len(self.ports)
            name = <char*>&j.places[3 * len(self.ports)]
            for i, (port, each) in enumerate(zip(self.ports, names, strict=True)):
                j.places[i] = <void*><size_t>int(ffi.cast("size_t", port._ptr))
                if each is not None:
                    memcpy(name, <char*>each, len(each))
                    j.places[2 * len(self.ports) + i] = name
                    name += len(each)
            j.s.waits = setup.freewheel
            j.s.most = setup.period
            j.anew = 1
            j.client = <void*><size_t>int(ffi.cast("size_t", self.client._ptr))
            j.port_buffer = <void* (*)(void*, uint32_t) noexcept nogil><size_t>address_of(jack, "jack_port_get_buffer")
            j.cycle_begin = <uint32_t (*)(const void*) noexcept nogil><size_t>address_of(jack, "jack_last_frame_time")
            j.connected_to = <int (*)(const void*, const char*) noexcept nogil><size_t>address_of(
                jack, "jack_port_connected_to"
            )
            state = ffi.cast("void*", <size_t>self.s)
            for set_callback, kind, function in (
                (lib.jack_set_process_callback, "JackProcessCallback", <size_t>&process),
                (lib.jack_set_xrun_callback, "JackXRunCallback", <size_t>&xrun_rt),
                (lib.jack_set_freewheel_callback, "JackFreewheelCallback", <size_t>&freewheel),
                (lib.jack_set_sample_rate_callback, "JackSampleRateCallback", <size_t>&change_rate),
            ):
                if set_callback(self.client._ptr, ffi.cast(kind, function), state):
                    raise StreamError(f"JACK does not take a {kind}")
            lib.jack_on_info_shutdown(
                self.client._ptr, ffi.cast("JackInfoShutdownCallback", <size_t>&lose_server), state
            )
        except jack.JackError as error:
            raise StreamError(f"JACK refuses: {error}") from error

    def begin(self):
        import jack

        try:
            self.client.activate()
            for port, other in zip(self.ports, self.setup.others, strict=True):
                if other is not None:
                    connect(self.client, *((other, port) if port.is_input else (port, other)))
            store_relaxed_u32(&(<jack_state*>self.s).wired, 1)
        except jack.JackError as error:
            raise StreamError(f"JACK refuses: {error}") from error

    def halt(self, at_once):
        if self.started:
            self.client.deactivate()
        close_client(self.client)

    def forsake(self):
        # Its finalizer would close the parent's client.
        Py_INCREF(self.client)

    def readings(self):
        # The server counts with 32 bits, and the last callback tells the rest. What is heard comes one cycle later.
        last = load_relaxed_u64(&(<jack_state*>self.s).frame) or self.client.frame_time
        now = last + <int32_t>(<uint32_t>self.client.frame_time - <uint32_t>last)
        latency = self.client.blocksize / self.samplerate
        return now / self.samplerate, self.latencies(latency), self.client.cpu_load() / 100


def address_of(jack, name):
    """Return the address of one of JACK's functions."""
    return int(jack._ffi.cast("size_t", jack._ffi.addressof(jack._lib, name)))


class JackSetup(SoundCardSetup):
    """A client of a JACK server before it gets ports; the server says rate and format.

    Parameters
    ----------
    request : Request
        What was asked for. The device is a client, or one of its ports, or a part of the names of its ports, which are
        connected in their order; None is the sound card.
    """

    def __init__(self, request):
        request.refuse("jack", "callback", "latency")
        settings = request.settings(JackSettings, "jack")
        check_settings(settings)
        close_the_dead()
        self.client = open_client(settings.client_name, settings.servername)
        try:
            self.samplerate = self.client.samplerate
            for name, given, fixed in (
                ("samplerate", request.samplerate, self.samplerate),
                ("callback_size", request.callback_size or None, self.client.blocksize),
            ):
                if given is not None and given != fixed:
                    raise ValueError(f"{name} is {fixed} on this JACK server, not {given!r}")
            self.input = self.output = None
            self.others = []
            self.freewheel = bool(settings.freewheel)
            self.period = self.client.blocksize
            if request.hears:
                self.input = self.find(request, settings, 0)
            if request.plays:
                self.output = self.find(request, settings, 1)
        except BaseException:
            self.close()
            raise

    def find(self, request, settings, place):
        """Return the format of one direction, and note which ports its own are to be connected to."""
        name, channels, dtype = request.device[place], request.channels[place], request.dtype[place]
        direction = {"is_output": True} if place == 0 else {"is_input": True}
        if name is None:
            found = self.client.get_ports(is_audio=True, is_physical=True, **direction)
        elif isinstance(name, str):
            found = ports_of(self.client.get_ports(is_audio=True, **direction), name)
        else:
            raise TypeError(f"device must be the name of a JACK client or of its ports, not {name!r}")
        if name is not None and settings.connect and not found:
            raise ValueError(f"JACK has no {'output' if place == 0 else 'input'} port whose name has {name!r} in it")
        channels = max(1, len(found)) if channels is None else channels
        wanted = sample_format(channels, "float32" if dtype is None else dtype, ("float32",), "jack")
        found = found if settings.connect else []
        self.others += [found[i] if i < len(found) else None for i in range(wanted.channels)]
        return wanted

    def open(self, capture, playback, _, **common):
        """Open the device; see `VirtualSetup.open`."""
        return JackDevice(self, capture=capture, playback=playback, **common)

    def close(self):
        """Leave the server."""
        close_client(self.client)


def close_the_dead():
    """Close clients whose server is gone: where another one is opened before, libjack frees them, and crashes later."""
    for device in list(clients):
        if device.error is not None:
            device.close()


def devices():
    """Return the clients of the JACK server that have audio ports.

    Returns
    -------
    list of (str, int, int, float)
        Name, number of ports that can be heard and played to, samplerate.
    """
    close_the_dead()
    client = open_client("pong")
    try:
        found = {}
        for port in client.get_ports(is_audio=True):
            numbers = found.setdefault(client_of(port), [0, 0])
            numbers[port.is_input] += 1
        return [(name, *numbers, client.samplerate) for name, numbers in found.items()]
    finally:
        close_client(client)
