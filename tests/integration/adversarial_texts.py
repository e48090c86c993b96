"""Texts that are slow to parse: patterns of 1 to 3 signs, and what programs write, repeated to 256 KiB."""

import base64
import random

MOST_BYTES = 256 * 1024

# PostgreSQL's parser and its headlines took seconds for 8 to 64 KB of the first of them.
PATTERNS = [
    *("a_", "a1@", "_A", "./", "a/", "/a", "a@", "A@", "_", "____", "<a", "<a>", "<!--", "a<", "&a", "&#", "&lt;"),
    *("a.", "a.b", "1.", "1.1.", "a-", "-a", "-1", "+1", "1e", "1e-", "1e5 ", "0x", "1-1-", "a'", "a:", "::1", "http:"),
    *("http://a/", "a@b.c ", "~", "~/", "%a", "+", "=", "?a", "a?b=c&", "#", '"', 'a"', "\\", "a ", "- ", "\x02a\x03"),
    *("中", "中a", "ก", "가", "😀", "é", "e\u0301", "\u0301", "\u0301\u0323", "a\u200d", "İ", "ß", "ﷺ"),
    "(function(a,b){return a.c?b[a.d]=function(){var e=a.f||'';return e.g(h)}:null})(i,j);",
]


def large_texts() -> dict[str, str]:
    """Return a text of nearly 256 KiB for each pattern, and some random ones of as many bytes."""
    chance = random.Random(16)
    texts = {pattern: pattern * (MOST_BYTES // len(pattern.encode())) for pattern in PATTERNS}
    texts["base64url"] = base64.urlsafe_b64encode(chance.randbytes(MOST_BYTES * 3 // 4)).decode()
    texts["hex words"] = " ".join(f"{chance.randrange(1 << 24):x}" for _ in range(MOST_BYTES // 7))
    texts["two words"] = " ".join(chance.choice("ab") for _ in range(MOST_BYTES // 2))
    # The largest tsvector: each sign is a word of its own, of 4 bytes.
    texts["65,536 signs"] = "".join(map(chr, range(0x20000, 0x30000)))
    # Normalised in one piece, this row of marks takes minutes.
    texts["two rows of marks"] = "\u0301" * 60_000 + "\u0323" * 60_000
    return texts
