"""Robot Brain on one machine without Docker: embedded PostgreSQL, a Lambda emulator and a gateway for HTTP."""
