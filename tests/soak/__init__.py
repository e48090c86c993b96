"""Writers and readers under faults, and afterwards the proof: nothing lost, doubled, out of order or half there.

`python -m tests.soak`, or `make soak`. Not a test by itself: tests/faults/test_soak.py runs a short one.

    clients (a process of 16 threads) ── HTTP ── front and emulator ── relay ── PgBouncer ── PostgreSQL
        │ journals, one file each                    ▲ freeze, kill     ▲ faults
        ▼                                            └── schedule ──────┘  timeline, one file
    check: journals beside the rows, over a connection that no fault touches
"""
