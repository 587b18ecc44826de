"""Person names, as they are compared (PS3.4 C.2.2.2.1; PS3.5 6.2.1).

Owns the two readings of a name that searches need: the folded one for literal matching, which
disregards case, and the words and sounds for fuzzy matching, which disregards accents, the order
of words, endings, and spellings that sound the same. Promises that equal input gives equal output
for ever: what is computed here is kept in the index.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["fold_name", "is_alike", "sound_of", "words_of"]

_NOT_A_WORD = re.compile(r"[\W_]+")
# Letters that no decomposition takes apart.
_PLAIN = str.maketrans(
    {
        "ø": "o",
        "đ": "d",
        "ð": "d",
        "ł": "l",
        "\u0131": "i",
        "æ": "ae",
        "œ": "oe",
        "þ": "th",
        "ħ": "h",
    }
)
# In this order: what several letters together sound like, in the languages that clinics meet most.
_CLUSTERS = (
    (re.compile("tsch|sch|sh|cz|tz|ts|sz|zh"), "s"),
    (re.compile("mp(?=[st])"), "m"),
    (re.compile("ph"), "f"),
    (re.compile("th|dt"), "t"),
    (re.compile("ck|kh|gh|ch|qu"), "k"),
    (re.compile("x"), "ks"),
    (re.compile("c(?=[eiy])"), "s"),
)
_CLASSES = str.maketrans(
    {
        **dict.fromkeys("aeiouyj", "A"),
        **dict.fromkeys("bp", "B"),
        **dict.fromkeys("fvw", "F"),
        **dict.fromkeys("cgkq", "K"),
        **dict.fromkeys("dt", "D"),
        **dict.fromkeys("sz", "S"),
        **dict.fromkeys("mn", "M"),
        "l": "L",
        "r": "R",
        "h": "",
    }
)
_AGAIN = re.compile(r"(.)\1+")
_LEAST_WORD, _LEAST_SOUND = 4, 2
"""Letters of a word that has a sound, and consonants of a sound: less is like everything."""


def fold_name(name: str) -> str:
    """A component group of a person name, as it is compared: without regard to case or width.

    Empty components at the end do not count (PS3.5 6.2.1.1).
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "^".join(part.strip() for part in folded.split("^")).rstrip("^")


def words_of(name: str) -> list[str]:
    """The words of a name, in lower case and without accents, each once; wild cards are none."""
    split = unicodedata.normalize("NFKD", name.casefold())
    plain = "".join(char for char in split if not unicodedata.combining(char)).translate(_PLAIN)
    # Hangul and the like are put together again.
    joined = unicodedata.normalize("NFKC", plain).replace("'", "").replace("\u2019", "")
    return list(dict.fromkeys(word for word in _NOT_A_WORD.split(joined) if word))


def sound_of(word: str) -> str:
    """What a word of ``words_of`` sounds like; empty if that says nothing.

    Consonants that are mistaken for each other are one class (in capitals, so that no sound is a
    word), vowels count only at the beginning, doubled letters once. Scripts other than Latin have
    no sound.
    """
    if len(word) < _LEAST_WORD or not (word.isascii() and word.isalpha()):
        return ""
    for cluster, letters in _CLUSTERS:
        word = cluster.sub(letters, word)
    classes = word.translate(_CLASSES)
    sound = _AGAIN.sub(r"\1", classes[:1] + classes[1:].replace("A", ""))
    return sound if len(sound.lstrip("A")) >= _LEAST_SOUND else ""


def is_alike(name: str, asked: list[str]) -> bool:
    """Whether each of the *asked* words begins a word of the name, or sounds like one."""
    words = words_of(name)
    sounds = {sound for word in words if (sound := sound_of(word))}
    return bool(asked) and all(
        sound_of(one) in sounds or any(word.startswith(one) for word in words) for one in asked
    )
