"""The simulator against the vendors' documents: real HTTP, a real process, nothing mocked."""
