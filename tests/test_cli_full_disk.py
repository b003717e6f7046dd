"""`pong record` and `pong play` on a disk that gets full: what was written is kept and playable, one line tells."""

import os
import resource
import shutil
import subprocess

import numpy as np
import pytest
import soundfile
from commands import VOICE, assert_refused, command, pong, samples_of

LIMIT = 50_000  # bytes


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """Return a WAV that cannot be compressed, twelve times as big as the disk."""
    path = tmp_path_factory.mktemp("noise") / "noise.wav"
    soundfile.write(path, np.random.default_rng(1).integers(-30000, 30000, 300_000).astype("int16"), 48000)
    return path


def assert_beginning_kept(out, source):
    """What is there can be played, and is what the source begins with: at least a fourth of what there was room for."""
    frames = soundfile.info(out).frames
    found = samples_of(out)
    assert len(found) == frames > LIMIT / 2 / 4
    np.testing.assert_array_equal(found, samples_of(source)[:frames])


def arguments(what, source, out, *options):
    """Return a command that has the output of the input's sound."""
    return (
        ["record", out, "--input", f"virtual:{source}", *options] if what == "record"
        else ["play", source, "--output", f"virtual:{out}", *options]
    )


@pytest.mark.parametrize("what", ["record", "play"])
@pytest.mark.parametrize("ending", ["wav", "flac"])
@pytest.mark.parametrize("options", [[], ["--blocksize", 64, "--buffers", 2], ["--blocksize", 5000, "--buffers", 50]])
def test_no_file_may_grow(tmp_path, noise, what, ending, options):
    """The system refuses what is beyond a limit, as a full disk does."""
    out = tmp_path / f"out.{ending}"
    limit = (LIMIT, resource.RLIM_INFINITY)
    done = pong(*arguments(what, noise, out, *options), cwd=tmp_path,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    assert_refused(done, f"pong: {out}: cannot be written: File too large")
    assert_beginning_kept(out, noise)


@pytest.mark.parametrize("what", ["record", "play"])
@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_small_disk(tmp_path, noise, what, ending):
    """A real one, in memory, that only this program sees; what is on it is fetched at the end."""
    script = 'mount -t tmpfs -o size=64k none disk || exit 99; "$@"; code=$?; cp disk/* kept/; exit $code'
    alone = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    for folder in ("disk", "kept"):
        (tmp_path / folder).mkdir()
    if shutil.which("unshare") is None:
        (pytest.fail if os.environ.get("PONG_CI") else pytest.skip)("no unshare: install util-linux")
    program = command(*arguments(what, noise, f"disk/out.{ending}"))
    done = subprocess.run([*alone, *program], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    if done.returncode == 99 or done.stderr.startswith("unshare"):
        pytest.skip(f"this system mounts nothing for us: {done.stderr.strip()}")
    assert_refused(done, f"pong: disk/out.{ending}: cannot be written: No space left on device")
    assert_beginning_kept(tmp_path / "kept" / f"out.{ending}", noise)


@pytest.mark.parametrize("what", ["record", "play"])
def test_no_room_at_all(tmp_path, what):
    done = pong(*arguments(what, VOICE, "out.wav"), cwd=tmp_path,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20, resource.RLIM_INFINITY)))
    assert_refused(done, "pong: out.wav: cannot be written: File too large")
