"""The stand-in for Neon that the faults act on, and queries over a connection that no fault touches."""

from dataclasses import dataclass

from tests.support.neon.stand_in import StandIn

# A session that exists from the beginning, for requests that read.
SESSION = "kept"
_KEEP = """
select robot_brain_api.write_message(
  'local', %s, '[{"robot_personality": "p", "user_message": "q", "robot_response": "a", "metadata": {}}]',
  null, null, null, null, false
)
"""


@dataclass(frozen=True)
class Stage:
    """A stand-in with a migrated database. Both survive every fault."""

    stand_in: StandIn

    def keep(self, session_id: str) -> None:
        """Make a session with one turn."""
        with self.stand_in.observer() as admin:
            admin.execute(_KEEP, [session_id])

    def stored(self, text: str) -> int:
        """Return how many turns of all sessions have this `user_message`."""
        with self.stand_in.observer() as admin:
            row = admin.execute(
                "select count(*) from robot_brain.conversations where user_message = %s", [text]
            ).fetchone()
        assert row is not None
        return int(row[0])

    def seqs(self, session_id: str) -> list[int]:
        """Return the stored seqs of a session. A seq that is stored twice comes twice."""
        with self.stand_in.observer() as admin:
            rows = admin.execute(
                "select seq from robot_brain.conversations where session_id = %s order by seq", [session_id]
            ).fetchall()
        return [seq for (seq,) in rows]
