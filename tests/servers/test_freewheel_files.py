"""Half an hour of sound through `pong play` and `pong record` in freewheel, with no more memory at the end of it."""

import json
import os
import shutil
import signal
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from commands import running, shell_code
from needs import needs_all
from observe import wait_until
from programs import PATIENCE
from servers import Jackd

needs_all("jack soundfile", "jackd jack_connect jack_freewheel jack_lsp", "jack")

LIMIT = 600  # seconds of wall time
BLOCK, RATE = 4096, 48000
NUMBER = 30 * 60 * RATE // BLOCK
# Real time until freewheel is switched on: seconds of sound are at hand by then.
OPTIONS = ["--blocksize", BLOCK, "--buffers", 64, "--json"]


@pytest.fixture
def jackd():
    with Jackd(RATE, 1024, channels=1):
        yield


@pytest.fixture
def folder(tmp_path):
    """Return a folder for large files, which pytest would keep."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def jack(*words):
    """Run one of JACK's programs; return what it printed."""
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout


def write_long_sound(path):
    """Write one block over and over, marked with its number, so that no two are alike; return the sound's checksum."""
    block = np.random.default_rng(1).uniform(0.1, 1, (BLOCK, 1)).astype("float32")
    total = 0
    with soundfile.SoundFile(path, "w", RATE, 1, "FLOAT") as file:
        for number in range(NUMBER):
            block[1] = number
            total = zlib.crc32(block, total)
            file.write(block)
    return total


def sum_of(path):
    """Return the checksum of what was recorded, from the first frame on that is not silence, and its frames."""
    total = frames = 0
    for block in soundfile.blocks(path, BLOCK, dtype="float32", always_2d=True):
        if not frames:
            loud = np.flatnonzero(block)
            block = block[loud[0] :] if len(loud) else block[:0]
        block = block[: NUMBER * BLOCK - frames]
        total = zlib.crc32(block, total)
        frames += len(block)
    return total, frames


def resident(process):
    """Return the bytes of a process in memory."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def wait_while(process, condition):
    """Wait until a state is there, as long as a process runs."""
    wait_until(lambda: process.poll() is not None or condition())
    assert process.returncode is None, process.communicate()


@pytest.mark.timeout(LIMIT)
def test_the_commands_record_what_they_play(jackd, folder):
    sound, heard = folder / "sound.wav", folder / "heard.wav"
    played = write_long_sound(sound)
    size = sound.stat().st_size
    with running("record", heard.name, "--input", "jack", *OPTIONS, cwd=folder) as recorder:
        wait_while(recorder, lambda: "pong:input_1" in jack("jack_lsp"))
        with running("play", sound.name, "--output", "jack:pong", *OPTIONS, cwd=folder) as player:
            wait_while(player, lambda: "   pong-01:output_1\n" in jack("jack_lsp", "-c", "pong:input_1"))
            # JACK tells its clients of a change, not that it is in freewheel already.
            jack("jack_freewheel", "y")
            grown = []
            for share in (0.1, 0.3, 0.5, 0.7, 0.9):
                wait_while(recorder, lambda share=share: heard.stat().st_size > share * size)
                grown.append((resident(recorder), resident(player)))
            told = [finished(player)]
        recorder.send_signal(signal.SIGINT)
        told.append(finished(recorder))
    assert [(code, missing) for code, missing, _ in told] == [(0, 0), (130, 0)], told
    assert sum_of(heard) == (played, NUMBER * BLOCK)
    assert np.ptp(grown, axis=0).max() < 4 << 20


def finished(process):
    """Wait for a command's end; return its exit code, the frames that were lost or late, and what else it said."""
    out, err = process.communicate(timeout=LIMIT)
    result = json.loads(out)
    return shell_code(process.returncode), result["lost" if "lost" in result else "underflow"], err
