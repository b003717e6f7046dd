"""Real servers: they are started by the tests, and a process of its own talks to each."""

import pytest
from servers import Jackd, sweep


@pytest.fixture(scope="session", autouse=True)
def swept():
    """Nothing of a server is left on the machine."""
    yield
    sweep()


@pytest.fixture
def synchronous():
    """A JACK server that waits for its clients in each cycle."""
    with Jackd() as server:
        yield server
