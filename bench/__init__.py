"""Benchmarks: one module each, with figures that have to keep within a bar."""
