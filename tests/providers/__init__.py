"""What each vendor's module promises: no server is needed, bytes go in and values come out."""

import pytest

# The contract is no test module by name, and its assertions shall explain themselves all the same.
pytest.register_assert_rewrite("tests.providers.contract")
