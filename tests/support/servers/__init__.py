"""Real servers for the tests: PostgreSQL from PyPI, PostgreSQL with TLS, PgBouncer before it.

Every server is a child process of the test run, listens on a unix socket or on 127.0.0.1 only, keeps its files
in a temporary folder, and is stopped by its own pid.
"""
