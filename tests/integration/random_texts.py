"""Random texts of words, with the signs and scripts that people and robots write."""

import random

_TEXT = (
    "coffee Milk sugar BREAKFAST running ponies universities v2 3 42 1999 x7 it'sfine C++ C# .NET R&D"
    " AT&T; don't snake_case __init__ state-of-the-art --verbose -5 +5 1.5 1,5 1e5 1.2.3 3.14. e.g. U.S.A."
    " 10:30 50% $9.99 #tag @home bob@example.com https://a.example/b?c=d&e=f#g ./run.sh /usr/lib C:\\temp"
    " ~/x <b>bold</b> &lt;tag&gt; &#39; a=b {x:1} foo(bar) list[0] `code` **strong** ~~gone~~ “quoted”"
    " \u2018single\u2019 em\u2014dash …dots tea… naïve Ölçü Straße ΣΊΣΥΦΟΣ Привет мир cafe\u0301 café"
    " Zu\u0308rich 東京タワー 中文测试 한국어 \u1112\u1161\u11ab ภาษาไทย မြန်မာ ខ្មែរ السلام עברית हिन्दी great😀 👍🏽ok"
    " e\u0301\u0323\u0302a \ufb01ne \uff21\uff22 x² ½cup 10€ İstanbul ca\u00adfé zero\u200bwidth a\u200db"
)
WORDS = _TEXT.split()
_LETTERS = "abcxyzABC019éß中あก-_./@<>&;:+#%'\u0301\u200d😀—"
_SPACES = (" ", " ", " ", " ", "  ", "\n", "\t", "\r\n", " \x01", "\x02 ", " \x06\x1f ")


def random_chunk(chance: random.Random) -> str:
    """Return signs without a space. They have at least one letter or digit."""
    if chance.random() < 0.7:
        return chance.choice(WORDS)
    return "".join(chance.choices(_LETTERS, k=chance.randint(0, 8))) + chance.choice("abcxyz019é中")


def random_text(chance: random.Random, chunks: int) -> tuple[str, list[str]]:
    """Return a text, and the chunks that it is made of."""
    made = [random_chunk(chance) for _ in range(chunks)]
    return "".join(chunk + chance.choice(_SPACES) for chunk in made), made
