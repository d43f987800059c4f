"""The recipients that `make demo` sends to. All made up; they meet no network but the simulator's."""
