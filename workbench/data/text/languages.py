"""Names of languages, by which aligned files and columns of translations are known."""

from __future__ import annotations

import re

# ISO 639-1, and of 639-3 those that corpora use; then names.
_WORDS = """
aa ab af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cv cy da de dv dz ee el en
eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi hr ht hu hy hz ia id ie ig ii ik io is it iu
ja jv ka kg ki kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my
na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm
sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo
za zh zu eng fra fre deu ger spa ita por rus jpn zho chi cmn kor ara nld dut swe pol ces cze tur ukr ell
gre heb hin fin dan nor ron rum hun bul vie tha ind cat hrv slk slv srp lit lav est isl ice gle eus glg
lat epo
english french german spanish italian portuguese russian japanese chinese korean arabic dutch swedish
polish czech turkish ukrainian greek hebrew hindi finnish danish norwegian romanian hungarian bulgarian
vietnamese thai indonesian catalan croatian slovak slovenian serbian lithuanian latvian estonian icelandic
irish latin deutsch francais français espanol español italiano portugues nederlands svenska polski
"""
LANGUAGES = frozenset(_WORDS.split())
_BESIDE = ("translation", "text", "sentence", "lang")
SIDES = {
    "source": 0, "src": 0, "input": 0, "target": 1, "tgt": 1, "trg": 1, "output": 1,
}  # fmt: skip


def is_language(word: str) -> bool:
    """`de`, `fra`, `german`, `zh-CN`, `translation.en`, `en_text`."""
    parts = [
        p for p in re.split(r"[\W_]+", word.lower()) if p not in ("translation", "text", "sentence", "lang")
    ]
    if not parts or len(parts) > 2 or parts[0] not in LANGUAGES:
        return False
    return len(parts) == 1 or (len(parts[0]) == 2 and 2 <= len(parts[1]) <= 4)
