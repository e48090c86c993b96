"""A stand-in for Neon: real PostgreSQL and PgBouncer behind a relay that can fail the way Neon fails.

`stand_in.StandIn` puts the parts together, and `faults.FAULTS` lists what can go wrong. TLS reaches from the clients to
the servers. Only the answers of Neon's own proxy end it here.
"""
