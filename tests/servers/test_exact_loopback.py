"""A stream's own output wired to its own input on a JACK server: bit-exact at every rate, period and block size."""

import textwrap

import pytest
from needs import needs_all
from servers import FULL, Jackd, reports

needs_all("jack sounddevice", "jackd jack_lsp", "jack portaudio")

# Seconds for one server.
LIMIT = 1200 if FULL else 120
SERVERS = [
    (8000, 64), (16000, 256), (22050, 16), (44100, 128), (48000, 1024), (88200, 512), (96000, 2048), (192000, 4096),
]
BLOCKSIZES = [16, 32, 100, 128, 441, 1024, 2048, 4096]
# PortAudio's callbacks: as the server likes, a divisor of most periods, and none of any.
CALLBACKS = [0, 64, 37, 1000]


def cases(place):
    """Return what is tried on a server: (back end, block size, callback size, channels)."""
    if FULL:
        sizes = [(size, callback, channels) for size in BLOCKSIZES for callback in CALLBACKS for channels in (1, 2)]
    else:
        sizes = [(BLOCKSIZES[place], 0, 1), (BLOCKSIZES[place - 3], CALLBACKS[place % 4], 2)]
    whole = [("portaudio", *each) for each in sizes]
    return whole + [("jack", size, 0, channels) for size, callback, channels in sizes if not FULL or not callback]


# In freewheel nothing waits for Python where PortAudio calls: everything is sent at once, and the pool holds it all.
# A JACK client's callback waits, so there the sound may be longer than the pools.
PROGRAM = textwrap.dedent("""
    import jack
    control = jack.Client("control", no_start_server=True)
    rate = control.samplerate

    def play(stream, sound, done):
        while not done.is_set():
            stream.write(sound)
            sound = np.zeros((stream.blocksize, sound.shape[1]), "float32")

    def loop(backend, blocksize, callback_size, channels):
        number = 300 if backend == "portaudio" else 64
        pools = [pong.BufferPool(count, blocksize, channels, "float32", on_empty="raise")
                 for count in ((1024, number) if backend == "portaudio" else (8, 8))]
        own = {"extra_settings": pong.JackSettings(connect=False)} if backend == "jack" else {"samplerate": rate}
        sound = signal_of(number * blocksize - 5, channels)
        done, heard = threading.Event(), Trimmed()
        with pong.Stream(blocksize=blocksize, channels=channels, backend=backend, pool=tuple(pools), prefill=0,
                         callback_size=callback_size, **own) as stream:
            name = "PortAudio" if backend == "portaudio" else "pong"
            wire(control, name, name)
            writer = None
            if backend == "portaudio":
                bufs = []
                for at in range(0, len(sound), blocksize):
                    bufs.append(stream.acquire())
                    bufs[-1].write(sound[at:at + blocksize])
                for buf in stream.drain():
                    buf.release()
                stream.sender.send_many(bufs)
                control.set_freewheel(True)
            else:
                control.set_freewheel(True)
                writer = threading.Thread(target=play, args=(stream, sound, done))
                writer.start()
            while heard.frames < len(sound):
                with stream.recv(30) as buf:
                    heard.add(buf)
            done.set()
            while writer is not None and writer.is_alive():
                # It may wait for room, which there is once somebody receives.
                for buf in stream.drain():
                    buf.release()
            lost = stream.lost
            control.set_freewheel(False)
            stream.abort()
        report(case=[backend, blocksize, callback_size, channels], exact=heard.equals(sound), blocks=heard.blocks,
               frames=heard.frames, gap=heard.gap, lost=lost / rate, home=[pool.free == len(pool) for pool in pools])
""")


@pytest.mark.timeout(LIMIT)
@pytest.mark.parametrize("place", range(len(SERVERS)), ids=[f"{rate}-{period}" for rate, period in SERVERS])
def test_loopback_is_exact(place, tmp_path):
    wanted = cases(place)
    with Jackd(*SERVERS[place]):
        found = reports(tmp_path, PROGRAM + f"\nfor case in {wanted}:\n    loop(*case)\n", timeout=LIMIT)
    assert [tuple(each["case"]) for each in found] == wanted
    for each in found:
        backend, blocksize, *_ = each["case"]
        number = 300 if backend == "portaudio" else 64
        # An empty recording is not exact.
        assert each["exact"], each
        assert each["frames"] >= number * blocksize - 5, each
        assert each["blocks"] >= number, each
        assert each["home"] == [True, True], each
        if backend == "jack":
            assert each["gap"] == 0, each
        # PortAudio's times are JACK's of 32 bits, which freewheel sets anew: they tell nothing of losses then, but a
        # day and a night are none. In seconds; a long sound may have more of them.
        assert each["lost"] < 20 + each["frames"] / SERVERS[place][0], each
