"""HTTP: what a request and an answer are. Knows no SQL."""
