"""The command line: ``pong`` and ``python -m pong``."""

import argparse
import json
import os
import signal
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import asdict

from pong import __version__
from pong.bench.scenarios import SCENARIOS
from pong.errors import StreamError
from pong.streams.extras import EXTRAS

EXIT_FAILED = 1
SIGNALLED = 128  # plus the signal's number, as shells say it
EXIT_CODES = (
    "Exit code: 0 done; 1 failed, or {missing}; 2 wrong usage; 130 stopped by Ctrl-C, 143 by SIGTERM ({kept})."
)


CARDS = "portaudio[:NUMBER or NAME], jack[:CLIENT] or miniaudio[:NAME]"
DTYPES = ["int16", "int24", "int32", "float32", "float64"]


def number(kind, least, most=None):
    """Return a parser of a number within bounds, for argparse."""
    bounds = f"from {least} up" if most is None else f"from {least} to {most}"

    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= (sys.float_info.max if most is None else most):
            raise argparse.ArgumentTypeError(f"must be a number {bounds}, not {text!r}")
        return value

    return parse


def positive(text):
    """Parse a number greater than 0, for argparse."""
    value = number(float, 0)(text)
    if not value:
        raise argparse.ArgumentTypeError(f"must be more than 0, not {text!r}")
    return value


def speed(text):
    """Parse a speed, or "auto", for argparse."""
    return text if text == "auto" else number(float, 0)(text)


def add_stream_options(command, endless):
    """Add the options that recording and playing share."""
    command.add_argument("--buffers", type=number(int, 1, 1024), default=16, metavar="N",
                         help="buffers in the pool: with the block size, for how long Python may stall (default: 16)")
    command.add_argument("--blocksize", type=number(int, 1, 1 << 24), default=1024, metavar="FRAMES",
                         help="frames in one buffer (default: 1024)")
    command.add_argument("--callback-size", type=number(int, 1, 1 << 24), metavar="FRAMES",
                         help="frames the device moves at a time (default: 128; a sound card: as it likes); several "
                         "fill one buffer")
    command.add_argument("--speed", type=speed, default="auto", metavar="X",
                         help="of a virtual device. 1: real time, N: a multiple; what does not come in time is lost. "
                         f"0: no clock, the device waits and nothing is lost (default: 0, but 1 for {endless})")
    command.add_argument("--seconds", type=positive, metavar="S", help="end after so much sound")
    command.add_argument("--json", action="store_true", help="print the result as JSON")


def parser():
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="pong",
        description="Move audio between a device's callback and Python: without copies, and without the GIL.",
        epilog="Try `pong demo` first; `pong COMMAND --help` tells more.",
    )
    top.add_argument("--version", action="version", version=f"pong {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    record = commands.add_parser(
        "record", help="record an input into a sound file",
        description="Record an input into a sound file, through a callback in native code that never takes the GIL.",
        epilog="The output has the sample format of the input, unless --dtype is given; an existing file is replaced; "
        "lost frames are left out and counted. "
        + EXIT_CODES.format(missing="frames were lost", kept="what was recorded until then is kept"),
    )
    record.set_defaults(run=run_record)
    record.add_argument("output", help="file to write; its ending names the format (.wav, .flac, .ogg, …)")
    record.add_argument("--input", required=True, metavar="DEVICE",
                        help="what to record: virtual: and a sound file, tone[:HZ], sweep[:FROM-TO] or silence; or "
                        f"{CARDS}")
    record.add_argument("--samplerate", type=number(int, 1), metavar="HZ",
                        help="frames per second of generated sound (default: 48000) and of a sound card (default: its "
                        "own); a file has its own")
    record.add_argument("--channels", type=number(int, 1, 1024), metavar="N",
                        help="audio channels of generated sound (default: 1) and of a sound card (default: all); a "
                        "file has its own")
    record.add_argument("--dtype", choices=DTYPES,
                        help="sample format (default: the one that holds the input without loss; a sound card's is "
                        "float32); .flac and .ogg need int16 for generated sound; int24 is for sound cards")
    add_stream_options(record, "sound that has no end")

    play = commands.add_parser(
        "play", help="play a sound file", description="Play a sound file through a callback in native code.",
        epilog="A sound file as output has the format of the input; an existing one is replaced. "
        + EXIT_CODES.format(
            missing="silence stood in for sound that came late",
            kept="what was sent is still played, at a second signal dropped",
        ),
    )
    play.set_defaults(run=run_play)
    play.add_argument("input", help="sound file; or tone[:HZ], sweep[:FROM-TO] or silence")
    play.add_argument("--output", required=True, metavar="DEVICE",
                      help=f"where to: virtual: and a sound file, or null, which is nowhere; or {CARDS}")
    play.add_argument("--dtype", choices=DTYPES,
                      help="sample format for the device (default: the one that holds the input without loss; float32 "
                      "for jack); int24 is for sound cards")
    add_stream_options(play, "null")

    loopback = commands.add_parser(
        "loopback", help="measure the round trip through a sound card",
        description="Play noise after a silence, find it in what is heard meanwhile, and tell how many frames later it "
        "came back and whether exactly. Output and input must be connected: by a cable, or with --wire.",
        epilog="Exit code: 0 the noise came back; 1 it did not, or something failed; 2 wrong usage; 130 stopped by "
        "Ctrl-C, 143 by SIGTERM.",
    )
    loopback.set_defaults(run=run_loopback)
    loopback.add_argument("--device", default="portaudio", metavar="DEVICE", help=f"{CARDS} (default: portaudio)")
    loopback.add_argument("--wire", action="store_true",
                          help="jack: connect the output to the input, without a sound card in between")
    loopback.add_argument("--seconds", type=number(float, 0.1, 4), default=1.0, metavar="S",
                          help="how much noise, 0.1 to 4 (default: 1)")
    loopback.add_argument("--samplerate", type=number(int, 1), metavar="HZ",
                          help="frames per second (default: the device's own)")
    loopback.add_argument("--callback-size", type=number(int, 1, 1 << 24), metavar="FRAMES",
                          help="frames the device moves at a time (default: as it likes)")
    loopback.add_argument("--json", action="store_true", help="print the result as JSON")

    demo = commands.add_parser(
        "demo", help="see why: record speech while other threads hold the GIL",
        description="Record speech while other threads hold the GIL: through pong, and in the customary way, a Python "
        "callback that copies each block into a queue. Takes about 15 seconds; no sound card is needed.",
        epilog="Exit code: 0 if pong's recording is exact; 1 if not, or if something failed; 2 wrong usage; 130 "
        "stopped by Ctrl-C.",
    )
    demo.set_defaults(run=run_demo)
    demo.add_argument("--seconds", type=number(float, 1, 600), default=6.0, metavar="S",
                      help="how much speech each way gets, 1 to 600 (default: 6)")
    demo.add_argument("--plot", metavar="FILE", help="draw delivery over time (needs matplotlib); the ending names the "
                      "format: .png, .svg, .pdf or .jpg")
    demo.add_argument("--json", action="store_true", help="print the outcomes as JSON")

    bench = commands.add_parser(
        "bench", help="compare pong with its rivals",
        description="Compare pong with its rivals: each contender is checked, then they are timed in turn. Takes about "
        "five minutes; what is not installed is left out and listed.",
        epilog="Exit code: 0 done; 1 a contender did not do what it should, a scenario failed, or, with --bounds, a "
        "goal does not hold; 2 wrong usage; 130 stopped by Ctrl-C, 143 by SIGTERM (what was measured is kept).",
    )
    bench.set_defaults(run=run_bench)
    bench.add_argument("--scenario", action="append", default=[], choices=SCENARIOS, metavar="NAME",
                       help=f"only this one, may be repeated: {', '.join(SCENARIOS)}")
    bench.add_argument("--full", action="store_true", help="all cases, in at most half an hour")
    bench.add_argument("--check", action="store_true", help="check the contenders and time nothing")
    bench.add_argument("--install", action="store_true",
                       help="first install the contenders: by pip into this environment, as root by apt-get, and by "
                       "npm into a cache")
    bench.add_argument("--bounds", action="store_true", help="fail where a goal does not hold")
    bench.add_argument("--json", metavar="FILE", help="write the report as JSON")
    bench.add_argument("--plot", metavar="FOLDER", help="draw each scenario into a PNG and an SVG (needs matplotlib)")

    devices = commands.add_parser("devices", help="list the devices", description="List the devices there are.")
    devices.set_defaults(run=run_devices)
    devices.add_argument("--json", action="store_true", help="print the list as JSON")
    return top


def plural(count, word):
    """Return a number with its noun."""
    return f"{count} {word}{'s' * (count != 1)}"


def loss_of(result):
    """Say why frames of a recording were lost."""
    if not result.lost_by_device:
        return "were lost: no buffer was free in time (see --buffers)"
    if result.lost_by_device == result.lost:
        return "were lost by the device or its server, which were late: more buffers do not help"
    return (
        f"were lost: {result.lost_by_device} by the device or its server, which were late, the others because no "
        "buffer was free in time (see --buffers)"
    )


def report(options, result, path, missing, advice):
    """Print what was recorded or played; return the exit code."""
    count = getattr(result, missing)
    if options.json:
        print(json.dumps({"file": path, **asdict(result)}))
    else:
        print(
            f"{path}: {plural(result.frames, 'frame')} in {plural(result.blocks, 'block')}, {result.samplerate:g} Hz, "
            f"{plural(result.channels, 'channel')}, {count} {missing}"
        )
    if count:
        print(f"pong: {count} frames {advice}", file=sys.stderr)
    if result.interrupted is not None:
        return SIGNALLED + result.interrupted
    return EXIT_FAILED if count else 0


def run_record(options):
    """Do ``pong record``."""
    # The other commands would not need what recording needs.
    from pong.live import LiveLine
    from pong.recording import record

    with hushed_for(options.input):
        line = LiveLine("lost")
        try:
            result = record(
                options.output, options.input, samplerate=options.samplerate, blocksize=options.blocksize,
                callback_size=options.callback_size, channels=options.channels, dtype=options.dtype,
                buffers=options.buffers, speed=options.speed, seconds=options.seconds, progress=line,
            )
        finally:
            line.end()
    return report(options, result, options.output, "lost", loss_of(result))


def run_play(options):
    """Do ``pong play``."""
    from pong.live import LiveLine
    from pong.recording import play

    with hushed_for(options.output):
        line = LiveLine("underflow")
        try:
            result = play(
                options.input, options.output, blocksize=options.blocksize, callback_size=options.callback_size,
                buffers=options.buffers, dtype=options.dtype, speed=options.speed, seconds=options.seconds,
                progress=line,
            )
        finally:
            line.end()
    return report(options, result, options.input, "underflow", "of silence: the sound came too late (see --buffers)")


def run_demo(options):
    """Do ``pong demo``."""
    from pong.demo import as_json, demonstrate, setting, table

    if options.plot is not None:
        # Before the show, so that what is missing or cannot be written is told at once.
        from pong.demo_plot import check_plot, draw

        check_plot(options.plot)
    if not options.json:
        print(setting(options.seconds), flush=True)
    outcomes = demonstrate(options.seconds)
    if options.json:
        print(json.dumps(as_json(outcomes, options.seconds)))
    else:
        print(f"\n{table(outcomes)}")
    if options.plot is not None:
        draw(outcomes, options.plot)
    return 0 if outcomes[0].exact else EXIT_FAILED


@contextmanager
def unwinding():
    """Let signals unwind what runs, and end the program then: it leaves its server in good order."""

    def leave(number, _):
        raise SystemExit(SIGNALLED + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_loopback(options):
    """Do ``pong loopback``."""
    from pong.loopback import measure

    with unwinding(), hushed_for(options.device):
        result = measure(
            options.device, seconds=options.seconds, samplerate=options.samplerate,
            callback_size=options.callback_size, wire=options.wire,
        )
    if options.json:
        print(json.dumps({"device": options.device, **asdict(result)}))
    elif not result.found:
        print(f"{options.device}: the noise did not come back")
    else:
        how = "bit-exact" if result.exact else f"not exact, signal-to-noise ratio {result.snr:.1f} dB"
        print(
            f"{options.device}: round trip {plural(result.latency, 'frame')}, {1000 * result.seconds:.2f} ms at "
            f"{result.samplerate:g} Hz; {plural(result.frames, 'frame')} {how}; {result.lost} lost, "
            f"{result.underflow} underflow"
        )
    return 0 if result.found else EXIT_FAILED


def run_bench(options):
    """Do ``pong bench``."""
    from pong.bench.command import bench

    return bench(
        options.scenario, full=options.full, check=options.check, installing=options.install, bounds=options.bounds,
        json_path=options.json, plot_folder=options.plot,
    )


def run_devices(options):
    """Do ``pong devices``."""
    from pong.streams.devices import CARD_BACKENDS, query_devices

    found, missing = [], []
    for backend in ("virtual", *CARD_BACKENDS):
        try:
            there = query_devices(backend)
        except (ImportError, OSError, StreamError) as error:
            missing.append(f"{backend}: not here ({reason(error)})")
            continue
        found += there
        if not there:
            missing.append(f"{backend}: no devices")
    if options.json:
        print(json.dumps([asdict(device) for device in found], indent=2))
        return 0
    width = max(len(device.name) for device in found)
    for device in found:
        facts = [device.description]
        if device.channels is not None:
            facts.append(plural(device.channels, "channel"))
        if device.samplerate is not None:
            facts.append(f"{device.samplerate:g} Hz")
        print(f"{device.kind:6}  {device.name:{width}}  {', '.join(facts)}")
    print(*missing, sep="\n", end="\n" * bool(missing))
    return 0


def hushed_for(device):
    """Keep what libraries of sound cards write to standard error from coming between pong's own lines."""
    from pong.streams.hush import hushed

    return nullcontext() if device.startswith("virtual:") else hushed()


def reason(error):
    """Say in a few words why a back end is not there."""
    if isinstance(error, ImportError) and error.name in EXTRAS:
        return f'pip install "pong[{EXTRAS[error.name]}]"'
    return describe(error)


def describe(error):
    """Say in one line what went wrong."""
    if isinstance(error, StreamError) and isinstance(error.__cause__, (OSError, ValueError)):
        error = error.__cause__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return str(error)


def flush():
    """Write out what was printed, so that an error is told of as any other."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        # The interpreter would try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OSError(error.errno, error.strerror, "standard output") from None


def die_of_signals():
    """Let Ctrl-C end the program at once, as SIGTERM does: what has something to lose handles both itself."""
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def main(argv=None):
    """Run one command; return its exit code."""
    options = parser().parse_args(argv)
    try:
        code = options.run(options)
        flush()
        return code
    except ImportError as error:
        print(f"pong: {error.name} is missing: pip install 'pong[{EXTRAS.get(error.name, 'cli')}]'", file=sys.stderr)
    except (OSError, ValueError, MemoryError, StreamError) as error:
        print(f"pong: {describe(error)}", file=sys.stderr)
    return EXIT_FAILED


def command():
    """Be the program `pong`."""
    die_of_signals()
    return main()


if __name__ == "__main__":
    sys.exit(command())
