"""What is measured, a module each: `measure` returns plain values for the raw results; `bench.document` writes them down."""
