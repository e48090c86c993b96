"""Compare what searches found with the history: each text at its place once, and no text that was gone."""

from collections.abc import Iterable

from tests.soak.history import History
from tests.soak.records import NOTHING, Search


def check_searches(
    history: History, searches: Iterable[Search], lost: list[str], undead: list[str], doubled: list[str]
) -> None:
    """Find searches that miss a text that was surely there, or find one that was gone, or one twice."""
    for search in searches:
        text = history.texts[search.name]
        shown = f"{search.request}: a search for {search.name}"
        was_there = text.here and text.ended < search.began and text.threatened_since > search.ended
        if not search.places and was_there:
            lost.append(f"{shown} found nothing, and it was at {text.act.session} {text.place}")
        if len(search.places) > 1:
            doubled.append(f"{shown} found {search.places}")
        if search.places and (text.gone_since < search.began or text.act.outcome == NOTHING):
            undead.append(f"{shown} found {search.places}, and it was gone")
        elif any(place != (text.act.session, text.place) for place in search.places):
            lost.append(f"{shown} found {search.places}, and not {text.act.session} {text.place}")
