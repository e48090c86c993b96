"""Benchmarks: `make bench-cold`, `bench-hot`, `bench-peers`, `bench-scale`. None of them is a test."""
