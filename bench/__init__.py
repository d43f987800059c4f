"""What sendmill can do, measured beside the peers on this machine: `python -m bench` writes docs/benchmarks.md."""
