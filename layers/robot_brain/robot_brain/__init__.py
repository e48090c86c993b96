"""Robot Brain: the conversation memory of chat robots, for AWS Lambda and Neon's PostgreSQL.

Each module knows as little as it can: `http` no SQL, `database` no HTTP, and only `settings` the environment.
"""

__version__ = "0.1.0"
