"""A stand-in for Neon: real PostgreSQL and PgBouncer behind a relay that can fail the way Neon fails.

`stand_in.StandIn` puts the parts together, `faults.FAULTS` lists what can go wrong. Nothing in here ends the clients'
TLS but the answers that Neon's proxy would give by itself.
"""
