"""Planar pools against a real JACK server: out of a client's ports into its own, exact to the bit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from native_build import load
from needs import needs_all
from servers import Jackd

import pong
from pong.streams.jack_client import connect_ports

needs_all("jack", "jackd jack_lsp", "jack")
import jack  # noqa: E402 - loads the library

CHANNELS, BLOCKSIZE, BLOCKS = 3, 100, 64
# Blocks of silence behind the sound, so that all of it comes round before the device waits for more.
TAIL = 16


@pytest.fixture(scope="module")
def settings() -> Iterator[pong.JackSettings]:
    # With a period that is no multiple of the block size, nor the other way round.
    with Jackd(period=64, channels=CHANNELS) as server:
        yield pong.JackSettings("planar", server.name, connect=False)


@pytest.mark.parametrize("orders", ["FF", "FC", "CF", "CC"])
def test_loopback_is_exact(settings: pong.JackSettings, orders: str) -> None:
    """What is played comes back through the server, whichever order each side has, each plane in its channel."""
    pools = tuple(pong.BufferPool(256, BLOCKSIZE, CHANNELS, order=order, on_empty="raise") for order in orders)
    # No frame is silence, so that the beginning can be found.
    sound = np.random.default_rng(4).uniform(0.1, 1, (BLOCKS * BLOCKSIZE, CHANNELS)).astype("float32")
    heard, frames = [], 0
    with (
        pong.Stream(backend="jack", blocksize=BLOCKSIZE, pool=pools, prefill=0, extra_settings=settings) as stream,
        jack.Client("wires", no_start_server=True, servername=settings.servername) as wires,
    ):
        assert stream.order == tuple(orders)
        connect_ports(wires, [(f"planar:output_{i}", f"planar:input_{i}") for i in range(1, CHANNELS + 1)], 60)
        # From here on the server has no clock, and the callback waits for the program: nothing can be lost.
        wires.set_freewheel(True)
        bufs = [stream.acquire() for _ in range(BLOCKS + TAIL)]
        padded = np.vstack([sound, np.zeros((TAIL * BLOCKSIZE, CHANNELS), "float32")])
        for buf, part in zip(bufs, np.split(padded, len(bufs)), strict=True):
            buf.write(part)
        stream.sender.send_many(bufs)
        while frames < len(sound):
            with stream.recv(30) as buf:
                loud = buf.samples[buf.samples.any(axis=1)]
                frames += len(loud)
                heard.append(loud)
        wires.set_freewheel(False)
        stream.abort()
    np.testing.assert_array_equal(np.concatenate(heard), sound)


@pytest.mark.parametrize("order", "CF")
def test_a_processing_function_is_told(settings: pong.JackSettings, order: str) -> None:
    """Pools that the stream makes have the order asked for, and what runs in the callback knows where planes are."""
    from native_functions import SEEN

    seen = np.zeros(1, SEEN)
    note = load("_process").__pyx_capi__["pong_test_note"]
    with pong.InputStream(
        backend="jack", blocksize=BLOCKSIZE, channels=CHANNELS, order=order, process=(note, seen),
        extra_settings=settings,
    ) as stream:
        assert (stream.order, stream.pool.order) == (order, order)
        with stream.recv(30) as buf:
            assert buf.samples.strides == ((4, BLOCKSIZE * 4) if order == "F" else (CHANNELS * 4, 4))
            assert (buf.samples[0, 0], buf.samples[-1, -1]) == (7, 7)
    assert seen["plane"][0] == (BLOCKSIZE if order == "F" else 0)


@pytest.mark.parametrize("orders", ["FF", "FC"])
def test_directions_of_one_format_share_a_pool(settings: pong.JackSettings, orders: str) -> None:
    """Of one order too: what is heard as planes cannot be sent on as frames."""
    with pong.Stream(
        backend="jack", blocksize=BLOCKSIZE, channels=CHANNELS, order=tuple(orders), extra_settings=settings
    ) as stream:
        assert (stream.pool is stream.output_pool) == (orders == "FF")
        assert (stream.pool.order, stream.output_pool.order) == tuple(orders)


def test_an_order_that_a_given_pool_has_not(settings: pong.JackSettings) -> None:
    for order, other in ("CF", "FC"):
        pool = pong.BufferPool(4, BLOCKSIZE, CHANNELS, order=order, on_empty="raise")
        with pytest.raises(ValueError, match=f"input's pool has order '{order}', but the stream order '{other}'"):
            pong.InputStream(backend="jack", pool=pool, order=other, extra_settings=settings)
