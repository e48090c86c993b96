"""Search for texts that the client wrote lately. Each has an id that no other turn has."""

from urllib.parse import urlencode

from tests.soak.asking import Asker, Request

PAGES = 200  # far more than a search for one turn has


def find(asker: Asker) -> None:
    """Search for the id of a text, through all pages, and note the places of the hits. The text may be gone since."""
    if not asker.said:
        return
    name = asker.chance.choice(asker.said)
    query = {"q": f'"{name}"', "order": asker.chance.choice(("newest", "relevance"))}
    places: list[tuple[str, int]] = []
    cursor, began = "", asker.now()
    for _ in range(PAGES):
        request = Request("search", "GET", f"/search?{urlencode(query)}" + (f"&cursor={cursor}" if cursor else ""))
        reply = asker.ask(request)
        while not reply.succeeded and not reply.refused and asker.may_repeat:
            reply = asker.ask(request)
        if reply.refused:
            asker.misread(request, f"{reply.status}: {reply.body}")
        if not reply.succeeded:
            return
        places += [(hit["session_id"], hit["seq"]) for hit in reply.body["hits"]]
        cursor = reply.body["page"]["cursor"]
        if cursor is None:
            asker.see_search(request, began=began, name=name, places=places)
            return
    asker.misread(request, f"a search with more than {PAGES} pages")
