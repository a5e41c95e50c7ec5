"""Languages whose words have stems, and which of them a text is in by its most common words.

Stems are Snowball's. A text is in the language that has most of its words among its function words;
words are known for every language below, so that no model needs to be downloaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib import import_module
from typing import Any

# Code of ISO 639: name of Snowball's algorithm, and the words that texts in it are full of.
LANGUAGES = {
    "ar": (
        "arabic",
        "في من على إلى عن أن هذا هذه التي الذي ما لا مع كان بين بعد قبل أو ثم كل هو هي",
    ),
    "ca": ("catalan", "el la els les de del dels i en un una amb per que és al als no o seva dins"),
    "cs": (
        "czech",
        "a v ve na se je že s z ze do o pro k ke po od za jako při jeho nebo které který",
    ),
    "da": (
        "danish",
        "og i af en et den det til på med for er som de der fra om ved eller efter mellem",
    ),
    "de": (
        "german",
        "der die das und in im von den des dem zu zur zum mit auf für eine ein einer eines "
        "einem einen ist am als auch aus bei nach über wie nicht oder durch an werden wird sich",
    ),
    "el": (
        "greek",
        "και το η ο της του των την τον στο στη στην με για από που να τα οι είναι σε ένα",
    ),
    "en": (
        "english",
        "the of and in to a is for on with by an as at from that this are its it be was or which "
        "their into between how we has have not these",
    ),
    "eo": (
        "esperanto",
        "la de kaj en al el por kun pri ne estas esti ke kiu kiuj tiu unu sur aŭ ĝi",
    ),
    "es": (
        "spanish",
        "el la los las de del y en un una que por con para al se su sus es como sobre entre lo no",
    ),
    "et": (
        "estonian",
        "ja on ei et see ka või oma kui mis ning kuid aga mille seda tema nii selle",
    ),
    "eu": ("basque", "eta da du bat ez dira izan ere baina edo zen hau bere ditu dute dela arte"),
    "fa": ("persian", "و در به از که این را با است برای آن تا بر یک هم یا شده می خود ها های بین"),
    "fi": (
        "finnish",
        "ja on ei se että oli joka tai kuin sekä myös mutta ovat hän sen mitä ole jotka",
    ),
    "fr": (
        "french",
        "le la les de des du et en un une à au aux dans par pour sur que qui est ce cette "
        "avec son sa ses ou plus entre",
    ),
    "ga": ("irish", "an na agus ar i is go do le ag de a bhí tá sé nó ó chun faoi mar sna"),
    "hi": ("hindi", "के का की में है और से को पर एक यह ने हैं भी कि जो था तथा लिए इस नहीं"),
    "hu": (
        "hungarian",
        "a az és egy hogy nem is van volt meg ez de vagy mint csak amely között szerint",
    ),
    "hy": ("armenian", "և է եւ ու ի են որ մեջ այս հետ համար մի իր նա կամ որը էր չի նրա"),
    "id": (
        "indonesian",
        "yang dan di dari untuk dengan pada dalam ini itu adalah oleh ke atau sebagai",
    ),
    "it": (
        "italian",
        "il lo la i gli le di del della dei delle e in un una che per con da nel nella al alla "
        "è si su tra come sul",
    ),
    "lt": (
        "lithuanian",
        "ir į iš su kad yra tai kaip ar apie bei už nuo iki jo bet kurie pagal dėl",
    ),
    "ne": ("nepali", "र को मा छ छन् यो पनि लागि गर्न भएको हो एक ले तथा नेपाल यस गरेको त्यो"),
    "nl": (
        "dutch",
        "de het een en van in op te met voor is aan dat die door bij uit naar over als ook om "
        "niet tot werd deze",
    ),
    "no": (
        "norwegian",
        "og i av en et den det til på med for er som de fra om ved eller etter mellom",
    ),
    "pl": (
        "polish",
        "w i z na do nie się o jest że od po dla przez oraz jako ze przy jego które lub",
    ),
    "pt": (
        "portuguese",
        "o a os as de do da dos das e em no na nos nas um uma que por com para ao à se não como "
        "sobre entre é",
    ),
    "ro": (
        "romanian",
        "și şi de în la cu din pe o un al ale a pentru care este nu prin mai sau despre",
    ),
    "ru": ("russian", "и в на с по не из от для к о как что его при за или это но во их между до"),
    "sr": (
        "serbian",
        "i u je na se da su za od sa o kao ili и у је на се да су за од са о као или",
    ),
    "st": ("sesotho", "ya le ho ka tsa ba ha ke e ea mme hore tse wa bo sa ena o"),
    "sv": (
        "swedish",
        "och i av en ett den det till på med för är som de att från om vid eller efter",
    ),
    "ta": ("tamil", "ஒரு மற்றும் இந்த என்று அந்த அது இது என உள்ள என்ற பல அவர் ஆகும் இருந்து"),
    "tr": (
        "turkish",
        "ve bir bu ile için de da olarak olan çok daha gibi en ne o kadar sonra üzerine",
    ),
    "yi": ("yiddish", "און די דער דאס אין פון צו א איז מיט אויף ניט האט ער וואס פאר דעם אז"),
}
CODES = tuple(LANGUAGES)
OFTEN = 0.02  # of the texts whose language shows: so many make it a language of the texts


@lru_cache(maxsize=2**20)
def stem(word: str, language: str) -> str:
    """The stem of a lower-case word. Kept for later: Snowball takes 0.1 ms in plain Python."""
    return _stemmer(language)().stemWord(word)  # a stemmer has a state, threads can't share one


def language_of(words: Iterable[str], among: tuple[str, ...] = CODES) -> str | None:
    """The language that has most of the lower-case words as function words; None at a tie."""
    owners, counts = _owners(among), Counter[str]()
    for word in words:
        if word in owners:
            counts.update(owners[word])
    best = counts.most_common(2)
    if not best or (len(best) == 2 and best[0][1] == best[1][1]):
        return None
    return best[0][0]


def languages_of(texts: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """The languages that occur often in texts, given as words."""
    counts = Counter(filter(None, map(language_of, texts)))
    enough = OFTEN * counts.total()
    return tuple(code for code in CODES if counts[code] > 0 and counts[code] >= enough)


@cache
def _owners(among: tuple[str, ...]) -> dict[str, list[str]]:
    """The languages of each function word."""
    owners: dict[str, list[str]] = {}
    for code in among:
        for word in dict.fromkeys(LANGUAGES[code][1].split()):
            owners.setdefault(word, []).append(code)
    return owners


@cache
def _stemmer(language: str) -> Any:
    """Snowball's class, never PyStemmer's, which may be another version."""
    name = LANGUAGES[language][0]
    module = import_module(f"snowballstemmer.{name}_stemmer")
    return getattr(module, f"{name.title()}Stemmer")
