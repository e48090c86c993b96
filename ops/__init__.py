"""Robot Brain on one machine without Docker: embedded PostgreSQL, a Lambda emulator, the HTTP API's front."""
