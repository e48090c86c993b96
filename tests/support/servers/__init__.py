"""Real servers for the tests: PostgreSQL from PyPI, PostgreSQL with TLS, and PgBouncer in front of it.

Every server is a child process of the test run and stops by its own pid. It listens only on a unix socket or on
127.0.0.1, and keeps its files in a temporary folder.
"""
