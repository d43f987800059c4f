"""The five vendors over HTTP, faithful to their documents, for tests and the demo.

Nothing here imports the client side (`sendmill`, `providers`, `tasks`, `workers`): the simulator is
written from the vendors' documents alone, so that a mistake of the client is not repeated here.
Start it with `python -m simulator`, or from a test with `simulator.client.Simulator.start()`.
"""
