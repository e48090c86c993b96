"""Bodies of requests, validated."""
