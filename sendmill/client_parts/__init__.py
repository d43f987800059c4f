"""The methods of `sendmill.Client`, by what they are about. `Client` is all of these classes together."""
