"""The database: its SQL functions, the connection to it and the retries of calls. Contains no HTTP."""
