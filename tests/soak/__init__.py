"""Writers and readers under faults, then the proof: nothing is lost, doubled, out of order or half written.

Clients also edit, remove, erase and list. So the proof says, too, that what was removed stays removed, and that the
audit trail has each change once, in a chain that verifies.

Run it by `python -m tests.soak` or `make soak`. The test tests/faults/test_soak.py runs a short one.

    clients (a process of 16 threads) ── HTTP ── front and emulator ── relay ── PgBouncer ── PostgreSQL
        │ journals, one file each                    ▲ freeze, kill     ▲ faults
        ▼                                            └── schedule ──────┘  timeline, one file
    check: compares journals with rows, over a connection that no fault touches
"""
