"""Benchmarks: `make bench WHAT=cold`, `hot`, `keys`, `peers` or `scale`. None of them is a test."""
