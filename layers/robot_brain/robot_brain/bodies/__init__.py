"""Validate the bodies of requests."""
