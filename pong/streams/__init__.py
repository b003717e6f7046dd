"""Streams: device callbacks in native code."""
