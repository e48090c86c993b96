"""The folder of the embedded PostgreSQL's data: in the state folder, or as root a link there to another place.

The link is needed if the server's user cannot enter the state folder, for example below /root. So the path in the
state folder always leads to the data, and no folder above it is opened.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from local.server_user import SHARED, ServerUser, ServerUserError, refusal


def data_folder(folder: Path, user: ServerUser, say: Callable[[str], None]) -> Path:
    """Return the real folder of the data, of which `folder` is the path in the state folder.

    It may not exist yet, but its parent does, and `user` can enter the parent. `say` receives a line if the
    data is in another place. Raises ServerUserError if there is no place for the data.
    """
    if folder.is_symlink() and not folder.exists():
        folder.unlink()  # the data was deleted, and not the link
    if not (closed := user.closed(folder.parent)):
        return folder.resolve()
    if folder.exists() and not folder.is_symlink():
        raise ServerUserError(
            f"PostgreSQL does not run as root, and its user {user.name} cannot enter {closed[0]} any more. "
            f"Type: chmod o+x {' '.join(map(str, closed))}. Or move {folder} away to start with an empty database"
        )
    if not folder.exists():
        _link(folder, user)
    say(
        f"PostgreSQL does not run as root, and its user {user.name} cannot enter {closed[0]}. "
        f"So the data is in {folder.resolve()}, and {folder} is a link to it."
    )
    return folder.resolve()


def _link(folder: Path, user: ServerUser) -> None:
    """Make a link at `folder` to a place for new data, in a folder with a name of its own for each state folder."""
    path = folder.parent.resolve()
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", path.parent.name)[:30]
    name = f"{readable or 'root'}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
    place = SHARED / name
    try:
        for each in (SHARED, place):
            each.mkdir(mode=0o755, exist_ok=True)
            each.chmod(0o755)  # the umask may have closed it
        data = place / folder.name
        if data.exists():
            # The state folder was deleted, and this data was not. Keep it, and begin with an empty database.
            data.rename(data.with_name(f"{data.name}.left-{time.time_ns()}"))
        folder.symlink_to(data)
    except OSError as error:
        raise ServerUserError(refusal(user, folder.parent, error)) from error
