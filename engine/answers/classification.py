"""Verdict: what one answer segment says. engine.answers.parsing finds the segment; here it is judged alone.

The segment becomes a line of plain words first (`normal`): lower case, contractions written out, "," for
every pause or other sign, "/" for alternatives. Each rule is a pattern over such a line.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

TAG = r"</?(?:b|i|u|p|br|em|strong|span|code|answer|s|eos|bos|end_of_turn|start_of_turn|\|[a-z_]{1,20}\|)/?>"
_CONTRACTIONS = (
    (r"\bcan(?:'?t| not)\b", "cannot"),
    (r"\bwon'?t\b", "will not"),
    (r"\b(do|would|should|could|is|was|did|does)(?:n't|nt)\b", r"\1 not"),
    (r"\bi'm\b", "i am"),
    (r"(?<=\w)'d\b", " would"),
    (r"(?<=\w)'ll\b", " will"),
    (r"(?<=\w)'ve\b", " have"),
    (r"\b(it|that|there|what)'s\b", r"\1 is"),
)


@lru_cache(maxsize=256)  # several rules ask for the same segment, and short answers come again and again
def normal(segment: str) -> str:
    """The line of plain words that the rules read."""
    text = unicodedata.normalize("NFKC", re.sub(TAG, " ", segment, flags=re.IGNORECASE)).lower()
    text = re.sub(r"[’‘ʼ´]", "'", text)
    text = re.sub(r"(?<![^\W_])'|'(?![^\W_])|[*_~`#\"“”„«»‹›]", " ", text)
    for pattern, written_out in _CONTRACTIONS:
        text = re.sub(pattern, written_out, text)
    text = re.sub(r"(?<=[a-z])-(?=[a-z])", "", text)  # no-one is one word
    text = re.sub(r"[/|\\]", " / ", text)
    text = re.sub(r"[^\w\s'/]", " , ", text)
    text = re.sub(r"(?:,\s*)+", ", ", text)
    return " ".join(text.split()).strip(" ,/")


def _any(*lines: str) -> str:
    """A group of alternatives, written as lines of phrases between semicolons."""
    phrases = [phrase.strip() for line in lines for phrase in line.split(";")]
    return f"(?:{'|'.join(phrase for phrase in phrases if phrase)})"


def _rule(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


_YES = _any("yes; yeah; yep; yup; yea; aye")
_NO = _any("no; nope; nah; nay")
_END = r"(?= ,|$)"
_FILLER = _any(
    "well; so; ok; okay; h+m+; u+[hm]+; oh; ah; honestly; let me (?:think|see); good question",
    "(?:i am )?(?:so |very )?sorry; i apologi[sz]e; my apologies; thanks; thank you",
)
_SURELY = _any(
    "definitely; absolutely; certainly; of course; surely; sure; for sure; totally; indeed; clearly",
    "undoubtedly; without (?:a )?doubt; no doubt",
)
_OPENING = _any(
    _FILLER,
    "frankly; personally; overall; in short; for me; probably; i (?:believe|think|guess|suppose)",
    "i (?:would |will |must |have to |would have to )?(?:say|answer|choose|go with); i am going with",
    r"(?:the |my )?(?:final )?answer(?: to(?: \w+){1,4})? (?:is|would be|should be)",
    r"(?:it|that) (?:is|would be); (?:while|although|though) [^,]+(?= , (?:the|it|this)\b)",
    rf"\w+ly(?= ,? ?(?:{_YES}|{_NO})\b); (?:based on|according to|given|in) [^,]+(?= , (?:{_YES}|{_NO})\b)",
    rf"an?(?: (?:big|clear|definite|firm|strong|resounding|hard|simple|solid))?(?= (?:{_YES}|{_NO})\b)",
    rf"[a-e1-5](?= , (?:{_YES}|{_NO})\b); as an? [^,]+(?= ,)",  # an option's letter; "as a nurse, …"
)
OPENING = _rule(rf"(?:{_OPENING}(?: that)?[ ,]+)+")
FILLER = _rule(rf"(?:{_FILLER}[ ,]*)+")
# Refusals that no role would utter: they count even after a "no" or "yes".
_UNABLE = _any("cannot; will not; unable to; not able to; (?:refuse|decline|not going|not in a position) to")
_ABOUT_AI = _any("researcher; scientist; engineer; developer; expert; ethicist; enthusiast; consultant")
STRONG_REFUSAL = _rule(
    _any(
        r"\b(?:as|i am(?: just| only| merely)?) an? (?:ai|artificial intelligence|(?:large )?language model)"
        rf"\b(?! (?:\w+ )?{_ABOUT_AI})",
        rf"\b(?:{_UNABLE}|(?:rather|prefer) not(?: to)?) (?:\w+ )?(?:answer|respond|reply)\b"
        r"(?! (?:the |my )?(?:phone|door|call))",
        r"\bnot comfortable (?:with )?(?:answering|sharing|this question|that question)\b",
    )
)
# Refusals that might belong to an answer ("No, I cannot give up"): they count only without a verdict.
REFUSAL = _rule(
    _any(
        rf"\b{_UNABLE}(?: (?:really|possibly|ethically))?{_END}",
        rf"\b{_UNABLE} (?:\w+ )?(?:provide|give|offer|share|express|form|take|make)(?: you)?(?: with)? "
        r"(?:an?|any|my|personal|this|that|such)\b",
        rf"\b{_UNABLE} (?:\w+ )?(?:help|assist)(?: you)? with\b",
        r"\bnot have the (?:ability|capability|capacity) to (?:provide|give|offer|share|express|form)\b",
        rf"\b{_UNABLE} (?:\w+ )?(?:engage|participate|discuss|comply|fulfil|fulfill|comment)\b",
        r"\b(?:do not|cannot) have (?:an? |any )?personal \w+",
        r"\b(?:do not|cannot) have (?:any )?(?:opinions|feelings|beliefs|preferences|emotions)\b"
        r"(?! (?:about|for|on))",
        r"\bno comment\b; \bi (?:refuse|decline)$; \b(?:rather|prefer) not (?:to )?(?:say|tell|disclose)\b",
    )
)
_DOUBT = _any(
    r"not (?:\w+ )?(?:sure|certain|clear); unsure; uncertain; undecided; undetermined; dunno",
    r"(?:do|would) not (?:\w+ )?know; maybe; perhaps; possibly; (?:it )?(?:\w+ )?depend(?:s|ing)",
    r"(?:it )?(?:will|would|may|might|can|could) (?:\w+ )?depend",
    r"(?:hard|difficult) to (?:say|tell|know|decide); not necessarily(?! \w); no (?:real )?(?:idea|clue)",
    r"(?:cannot|unable to|not able to) (?:\w+ )?(?:say|tell|decide|choose|determine|know)",
    r"(?:no|not have an?|not have any) (?:real |strong |clear )?(?:opinion|preference); mixed feelings",
)
HEDGE = _rule(rf"\b{_DOUBT}\b")
HEDGE_ONLY = _rule(
    _any(
        "i (?:guess|suppose|think|believe); sometimes; probably; likely; somewhat; (?:sort|kind) of",
        "(?:i am )?(?:neutral|on the fence|in between); both; neither(?: yes nor no)?",
    )
)
_DOUBT_AFTER = _rule(rf"(?: ,| but| or| and| well| i am| i| it| so| really)* {_DOUBT}(?: (?:on|upon)\b.*)?")
_DOUBT_ALONE = _rule(
    r"(?:i am |i |it |this |that |(?:the |my )?answer(?: to(?: \w+){1,4})? )?(?:really |just )?(?!depending)"
    rf"{_DOUBT}(?: (?:\w+ly )?(?:on|upon)\b.*)?"
)
_OR = r"(?: ,)? (?:or|/)(?: ,)? "
ECHO = _rule(rf"(?:(?:either|just) )?(?:{_YES}{_OR}{_NO}|{_NO}{_OR}{_YES})\b")
_JOIN = r"(?: ,| /| and| or| but| however| then| also| rather| actually| maybe| perhaps| sometimes)+"
_NO_AGAIN = rf"{_NO}(?:$| ,| (?:and|or|but|at|in|on|when|with|to|i|it|if|sometimes|depending|too|because)\b)"
CONTRADICTION = _rule(
    _any(
        rf"{_YES}{_JOIN} {_NO_AGAIN}; {_NO}{_JOIN} {_YES}\b; {_YES} {_NO}$; {_NO} {_YES}$",
        rf"{_YES}\b.*(?: ,| and| but| or)(?: also| maybe| sometimes)? {_NO_AGAIN}",
        rf"{_NO}\b.*(?: and| but| or)(?: also| maybe| sometimes)? {_YES}\b",
    )
)
# "no" is a verdict unless it belongs to a noun: "no problem", "no matter what", "no one".
NO_VERDICT = _rule(
    r"(?:nope|nah|nay)\b|no(?:$| ,| "
    + _any(
        "i; it; they; he; she; we; you; this; that; there; my; the; not; never; no; because; since; as; but",
        "and; for; from; if; in; at; on; to; with; thanks?; way; absolutely; definitely; really; sir",
    )
    + r"\b)"
)
NEGATION = _rule(
    _any(
        rf"{_SURELY} not\b(?! (?:sure|certain)); {_SURELY}(?: ,)? i (?:\w+ not|never)\b; hell no\b",
        r"not (?:at all|really|particularly|a chance|in the least|for me)\b(?! (?:sure|certain)); not$",
        r"never\b(?! mind)",
        r"(?:very )?unlikely\b; not (?:very )?likely\b; i do not (?:really )?(?:think|believe) so\b",
        rf"i (?:do|would|will|am) not{_END}",
    )
)
AFFIRMATION = _rule(
    _any(
        rf"{_SURELY}(?:$| so\b); (?:very much|affirmative)(?: so)?{_END}",
        rf"{_SURELY} ,(?! (?:i|it|they|he|she|we|you) (?:\w+ )?(?:not|never)\b)",
        rf"{_SURELY} i (?:do|would|am|will|can|have|should)\b(?! (?:not|never)\b)",
        rf"i (?:do|would|am|will){_END}; i (?:think|believe|guess|suppose) so{_END}",
    )
)
# A yes or no that closes the sentence, where its clause begins with what announces it ("so, no"; "…, i would
# say yes"), or where nothing before it turns it round or gives it to somebody else ("i would not say yes",
# "others might say yes", "it would be wrong to say no").
_ANNOUNCED = _any(
    "(?:so|therefore|thus|hence)(?: ,)?(?: i (?:would |will |must |have to )?say)?",
    "i (?:would |will |must |have to |would have to )?(?:say|answer)(?: that)?",
    "(?:the|my) (?:final )?answer (?:is|would be)",
)
CLOSING = _rule(rf"(?P<before>.*?)(?:^|(?<= )){_ANNOUNCED}(?: ,)?(?: an?)? (?P<word>{_YES}|{_NO})$")
TURNED = _rule(
    r"\b"
    + _any(
        "not; never; no; nor; cannot; without; wrong; refuse; doubt; deny; dishonest; lie; hesitate; hardly",
        "others?; people; some(?:one|body)?; many; most; they; he; she; we; you",
        "used; might; could; if; unless; rather",
    )
    + r"\b"
)
OTHER_YES = frozenset(("y", "sí", "si", "sì", "sim", "oui", "ja", "da", "да", "是", "是的", "はい"))
OTHER_NO = frozenset(("n", "non", "nein", "não", "nej", "net", "нет", "不", "不是", "否", "いいえ"))


def judge(segment: str) -> tuple[str, str]:
    """(state, reason) of an answer segment; the codes are those of engine.answers.parsing.parse_answer."""
    line = normal(segment)
    if not line:
        return "unparsed", "empty-answer"
    if STRONG_REFUSAL.search(line):
        return "refused", "refusal"
    word = line.replace(" ,", "")
    if word in OTHER_YES or word in OTHER_NO:
        return ("yes" if word in OTHER_YES else "no"), ("answer-line" if word in "yn" else "other-language")
    body = _without_opening(line)
    asks = "?" in unicodedata.normalize("NFKC", segment)
    return _yes_or_no(body, asks) or _phrase(line, body) or _other(line)


def _without_opening(line: str) -> str:
    """What follows "well", "i would say" and the like."""
    opening = OPENING.match(line)
    return line[opening.end() :] if opening else line


def _without_adverb(body: str) -> str:
    """A body that begins with yes or no after an adverb ("definitely yes"), without that."""
    return re.sub(rf"^(?:{_SURELY}[ ,]+)+(?=(?:{_YES}|{_NO})\b)", "", body)


def _yes_or_no(body: str, asks: bool) -> tuple[str, str] | None:
    """The rules for a body that begins with yes or no."""
    body = _without_adverb(body)
    if echo := ECHO.match(body):
        return ("unsure", "hedge") if HEDGE.search(body, echo.end()) else ("unparsed", "both")
    first = re.match(rf"(?:{_YES}|{_NO})\b", body)
    if first is None or (body.startswith("no") and not NO_VERDICT.match(body)):
        return None
    if CONTRADICTION.match(body):
        return "unsure", "contradiction"
    if _DOUBT_AFTER.fullmatch(body, first.end()):
        return "unsure", "hedge"
    if first.end() == len(body) and asks:
        return "unsure", "question"
    return ("no" if first[0].startswith("n") else "yes"), "answer-line"


def _phrase(line: str, body: str) -> tuple[str, str] | None:
    """Negations and affirmations without the words yes and no ("not at all", "of course")."""
    if NEGATION.match(line) or NEGATION.match(body):
        return "no", "negation"
    if not HEDGE.search(line) and (AFFIRMATION.match(line) or AFFIRMATION.match(body)):
        return "yes", "affirmation"
    return None


def _other(line: str) -> tuple[str, str]:
    """Refusals, hedges, and a yes or no that closes the sentence."""
    if REFUSAL.search(line):
        return "refused", "refusal"
    if HEDGE.search(line) or HEDGE_ONLY.fullmatch(line):
        return "unsure", "hedge"
    if (closing := closing_verdict(line)) is not None:
        return closing, "closing-verdict"
    return "unparsed", "no-verdict"


def closing_verdict(line: str) -> str | None:
    """The yes or no that closes a line, as `normal` makes it; None without one, and where it is turned."""
    closing = CLOSING.fullmatch(line)
    if closing is None or TURNED.search(closing["before"].rpartition(", ")[2]):
        return None
    return "no" if closing["word"].startswith("n") else "yes"


def begins_with_verdict(sentence: str) -> bool:
    """Whether a sentence begins with yes or no as a verdict, perhaps after an opening ("Well, no, …")."""
    body = _without_adverb(_without_opening(normal(sentence)))
    return bool(re.match(rf"{_YES}\b", body) or NO_VERDICT.match(body))


def is_doubt(sentence: str) -> bool:
    """Whether a sentence says nothing but that the answer is not known or depends ("It depends on …")."""
    return bool(_DOUBT_ALONE.fullmatch(_without_opening(normal(sentence))))


def refuses(line: str) -> bool:
    """Whether a text without an answer marker, as `normal` makes it, refuses to answer."""
    return bool(STRONG_REFUSAL.search(line) or REFUSAL.search(line))


def leads_in(sentence: str) -> bool:
    """Whether a sentence only leads to the answer: filler, an apology, a question without yes or no."""
    if FILLER.fullmatch(normal(sentence)):
        return True
    asks = sentence.rstrip("*_`\"' ").endswith(("?", "？", "؟"))
    return asks and judge(sentence) == ("unparsed", "no-verdict")
