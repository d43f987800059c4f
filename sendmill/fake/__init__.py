"""The parts of `FakeClient`: see `sendmill.testing`."""
