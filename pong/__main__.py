"""The command line: ``pong`` and ``python -m pong``."""

import argparse
import sys

from pong import __version__

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells say it



def at_least(least, kind=int):
    """Return a parser of a number that is not less than ``least``, for argparse."""

    def number(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"must be a number from {least} up, not {text!r}")
        return value

    return number


def parser():
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="pong", description="Move audio without copies, and without the GIL.")
    top.add_argument("--version", action="version", version=f"pong {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    record = commands.add_parser(
        "record",
        help="record an input into a sound file",
        description="Record an input into a sound file, through a callback in native code that never takes the GIL.",
        epilog="The output has the sample format of the input; an existing file is replaced; frames that are lost are "
        "left out and counted. Exit code: 0 done; 1 failed, or frames were lost; 2 wrong usage; 130 stopped by Ctrl-C "
        "(what was recorded until then is kept).",
    )
    record.add_argument("output", help="file to write; its ending names the format (.wav, .flac, …)")
    record.add_argument("--input", required=True, metavar="virtual:FILE", help="what to record: a sound file, played "
                        "by a virtual device")
    record.add_argument("--buffers", type=at_least(1), default=16, metavar="N",
                        help="buffers in the pool (default: 16)")
    record.add_argument("--blocksize", type=at_least(1), default=1024, metavar="FRAMES",
                        help="frames in one buffer (default: 1024)")
    record.add_argument("--callback-size", type=at_least(1), default=128, metavar="FRAMES",
                        help="frames the device delivers at a time (default: 128); several fill one buffer")
    record.add_argument("--speed", type=at_least(0, float), default=0.0, metavar="X",
                        help="1 plays in real time and drops what nobody takes in time; 0, the default, waits for a "
                        "free buffer, so that nothing is lost")
    return top


def main(argv=None):
    """Run one command; return its exit code."""
    options = parser().parse_args(argv)
    try:
        # The other commands would not need what recording needs.
        from pong.recording import record

        result = record(
            options.output,
            options.input,
            buffers=options.buffers,
            blocksize=options.blocksize,
            callback_size=options.callback_size,
            speed=options.speed,
        )
    except ImportError as error:
        print(f"pong: {error.name} is missing: pip install 'pong[cli]'", file=sys.stderr)
        return EXIT_FAILED
    except (OSError, ValueError, MemoryError) as error:
        print(f"pong: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        # Before the recording began, or for the second time.
        return EXIT_INTERRUPTED
    print(
        f"{options.output}: {result.frames} frames in {result.blocks} block{'s' * (result.blocks != 1)}, "
        f"{result.samplerate} Hz, {result.channels} channel{'s' * (result.channels != 1)}, {result.lost} lost"
    )
    if result.lost:
        print(f"pong: {result.lost} frames were lost: no buffer was free in time (see --buffers)", file=sys.stderr)
    if result.interrupted:
        return EXIT_INTERRUPTED
    return EXIT_FAILED if result.lost else 0


if __name__ == "__main__":
    sys.exit(main())
