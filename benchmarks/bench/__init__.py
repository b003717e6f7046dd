"""pong beside its rivals: scenarios with many contenders, in one run."""
