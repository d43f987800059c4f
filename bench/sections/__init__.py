"""What is measured, a module each: `measure` returns plain values, `bench.document` writes them down."""
