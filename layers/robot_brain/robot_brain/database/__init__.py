"""The database: its SQL functions, the connection to it and the retries of its calls. Knows no HTTP."""
