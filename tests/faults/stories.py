"""Short stories of clients, for tests of the soak's check."""

from tests.faults.diary import Diary
from tests.soak.records import Act

W1, W2, W3 = "c01-000001.0", "c01-000002.0", "c01-000003.0"
PUT2, PUT3 = W2, W3  # the text of a put has the id of its request, as a turn of a write has


def removed(diary: Diary) -> Act:
    """Two turns, and the second is removed."""
    diary.write(1, 2)
    return diary.remove(1, last_seq=2)


def edited(diary: Diary) -> Act:
    """One turn, which was replaced."""
    diary.write(1)
    return diary.put(1)


def erased(diary: Diary) -> Act:
    """One turn in a session that was erased."""
    diary.write(1)
    return diary.erase()


def lost_answer(diary: Diary) -> Act:
    """Two turns, and a removal of both that got no answer."""
    diary.write(1, 2)
    return diary.remove(0, "lost")


def tagged(diary: Diary) -> Act:
    """One turn, and a PUT with a whole tag whose first answer was lost, and whose second was 412."""
    diary.write(1)
    return diary.put(1, "lost", "412", match="1.a")


def patched(diary: Diary) -> Act:
    """Two patches of one member."""
    diary.patch()
    return diary.patch()


def edited_interaction(diary: Diary) -> Act:
    """A turn with an interaction, which a put kept."""
    diary.write(1, interaction="gaze")
    return diary.put(1)


FIRST, SECOND = "c01-000001.0", "c01-000001.1"  # the turns of a first write of two
