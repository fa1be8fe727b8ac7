r"""Takes secrets out of command lines, which /proc shows to every user of the machine.

A command line is read word by word, as its programs read it; a word with blanks in it (``sh -c "…"``, a title that a
process wrote over its arguments) is a command line of its own. ``[redacted]`` replaces

- the value of an option, assignment, JSON key, header or URL parameter with a secret name (password, token, API key and
  the like), wherever it stands: ``--db-password=x``, ``--env=DB_PASSWORD=x``, ``{"api_key": "x"}``, ``X-Api-Key: x``;
  not where the name ends in ``file``, ``path``, ``name`` or the like;
- the password in a URL or after a user name: ``://user:x@``, ``-u user:x``, ``-Uuser%x``;
- what ``redact_rules`` knows of single programs: ``mysql -px``, ``unzip -P x``, ``htpasswd -b file user x``;
- what looks like a secret by itself: tokens of well-known services, JSON web tokens, private keys, and any 24 or more
  characters that mix letters and digits as no words and numbers do.

It cannot know a short password that stands alone, as in ``login anna sesame``. A value with a name that only sounds
secret goes too: better one too many.

Whoever runs the process chooses the text, so all of it is read in one pass, and only so much of it: ``[redacted]``
stands for what is behind ``LONGEST`` characters or ``MOST_WORDS`` words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from leakwatch.text import redact_rules as rules

CommandLines = Literal["redacted", "none", "full"]
"""``[privacy] command_lines``."""
REDACTED = "[redacted]"

_WORD = re.compile(r"""(?:"(?:[^"\\]|\\.)*+"?|'[^']*+'?|[^\s"';|&()<>]++|(?<=\S)[;&](?=[\w.%-]+=))+""", re.DOTALL)
"""A word of a shell's command line, its quotes with it; ``&`` and ``;`` belong to it before ``name=``."""
_ENDS_COMMAND = re.compile(r"[;|&()\n]")
_NAME = re.compile(r"""(?<![\w.@/-])(?P<name>[\w.@/-]++)["'\])]{0,3}\s{0,3}(?:=|%3[Dd]|:(?!//))\s{0,3}""")
_QUOTED = r""""(?:[^"\\]|\\.)*+"?|'[^']*+'?|"""
_NEXT_NAME = r"""[&;,]["'\s]{0,2}[\w.%-]+["']?[=:]"""
_NEXT = re.compile(_NEXT_NAME)
_QUOTED_VALUE = re.compile(_QUOTED.removesuffix("|"), re.DOTALL)
_ENDS_VALUE = re.compile(rf"""{_NEXT_NAME}|[\s"'}}&]""")
_VALUE_OF_WORD = re.compile(rf"{_QUOTED}.+?(?={_NEXT_NAME}|$)", re.DOTALL)
_ASSIGNED = re.compile(r"(?P<name>-{0,2}[A-Za-z_][\w.-]*+)=(?P<value>.+)", re.DOTALL)
_AUTHORITY = re.compile(r"^(?P<user>[^\s/:@\[]{0,256}):(?P<secret>\S{1,1024})@")
_PORT = re.compile(r"\d{1,5}(?:[/?#]|$)")
_URL_TOKEN = re.compile(r"(?<=://)[^\s/:@]{16,1024}@")
_DSN = re.compile(
    r"(?<![\w.-])(?<!//)(?P<user>[\w.-]++):(?!//)(?P<secret>[^\s@/]{1,256}+)@(?=(?:tcp|udp|unix)\(|(?!sha\d)[\w.-]+(?:[:/,]|$))"
)
_NO_USER = frozenset({"mailto", "sip", "sips", "npm", "docker", "oci", "file"})
_HEADER = re.compile(r"(?i)(?P<name>\b(?:proxy-)?(?:authorization|cookie)[\"']?\s{0,3}:\s{0,3}).+", re.DOTALL)
_SCHEME = re.compile(r"(?i)(?P<name>(?<![\w-])(?:bearer|basic|digest|negotiate)\s{1,3})[\w.~+/=-]{6,}+")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----.*", re.DOTALL)
_PIPED = re.compile(
    r"(?P<name>\b(?:echo|printf)\s{1,3}(?:-\w{1,3}\s{1,3})?)[^|]{1,512}+"
    r"(?P<to>\|\s{0,3}(?:[^|;\n]{0,128}?(?:sudo\b[^|;\n]{0,64}\s-\w*S|chpasswd|-stdin\b|passphrase-fd|cryptsetup|smbpasswd)))"
)
"""``echo x | sudo -S …``: what a command reads a password from."""
_HERE = re.compile(r"(?P<name><<<\s{0,3})(?:\"[^\"]*\"?|'[^']*'?|\S+)")
_LONG = re.compile(r"(?<![\w+/.:-])[A-Za-z0-9+/_-]{24,}+={0,2}(?!\w)")
_PIECE = re.compile(r"[A-Z]?[a-z]*|[A-Z]*|[0-9]{1,8}|[a-z]{1,10}[0-9]{1,3}|[0-9]{1,3}[a-z]{1,10}")
"""What stands between the hyphens of an ordinary name."""
_UUID = re.compile(r"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OPTION = re.compile(r"--[A-Za-z][A-Za-z0-9-]*(?:=.*)?|-[A-Za-z]", re.DOTALL)
_SWITCHES = re.compile(r"-[A-Za-z]{2,6}")
"""Options of one letter written as one word; a value follows the last."""
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_PLAIN = re.compile(r"(?i)\d|true|false|yes|no|none|null|on|off|-|\$\{?\w+\}?|\$\(.*|%\w+%")
"""No secret: a switch, standard input, a variable that a shell fills in."""
_BLANK = re.compile(r"\s")
_SHORT = re.compile(r"[^=:@%]{0,10}", re.DOTALL)
"""Neither a pair nor long enough for a token."""
_LONG_ENOUGH = "a secret"
DEEPEST = 3
"""A command line within a command line within one: as deep as people write them."""
LONGEST = 16384
"""Characters; as much as is read of a command line."""
MOST_WORDS = 1024
"""Those within words and the names of values among them."""
_OF_VALUE = 64
"""Characters of a value that tell whether it is a secret's."""
_OF_NUMBER = 20
"""Digits: what has more is no number of anything."""
_FOLDER = re.compile(r"/(?:etc|home|opt|root|run|srv|tmp|usr|var)/")
_PATH = ("/", "./", "~", "@")


def redacted(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments of a command line without secrets, as many as there were."""
    if len(arguments) == 1 and " " in arguments[0]:  # a title the process wrote over its arguments
        return (text(arguments[0]),)
    return tuple(_walk(arguments))


def text(value: str) -> str:
    """Return a text of any kind, a command line among others, without what looks like a secret in it."""
    if len(value) <= LONGEST:
        return _text(value, 0, _Words())
    return f"{_text(value[:LONGEST].rpartition(' ')[0], 0, _Words())} {REDACTED}"


class _Words:
    """How many words are looked at yet; those within words and the names of values count, too."""

    def __init__(self) -> None:
        self.left = MOST_WORDS


def _text(value: str, depth: int, words: _Words) -> str:
    if depth > DEEPEST or not _BLANK.search(value):
        return value if _SHORT.fullmatch(value) else _alone(value, words)
    value = _PRIVATE_KEY.sub(REDACTED, value)
    value = _HEADER.sub(rf"\g<name>{REDACTED}", value)
    value = _PIPED.sub(rf"\g<name>{REDACTED} \g<to>", value)
    value = _HERE.sub(rf"\g<name>{REDACTED}", value)
    value = _SCHEME.sub(rf"\g<name>{REDACTED}", value)
    parts: list[str] = []
    at, line = 0, _Line(depth, words)
    for word in _WORD.finditer(value):
        between = value[at : word.start()]
        if _ENDS_COMMAND.search(between):
            line = _Line(depth, words)
        if not words.left:
            return "".join([*parts, between, REDACTED])
        parts += [between, _unquoted(word[0], line.take)]
        at = word.end()
    return "".join([*parts, value[at:]])


def _unquoted(word: str, redact: Callable[[str], str]) -> str:
    quote = word[0] if len(word) > 1 and word[0] in "\"'" and word[-1] == word[0] else ""
    return f"{quote}{redact(word[1:-1] if quote else word)}{quote}"


def _walk(words: Iterable[str]) -> Iterable[str]:
    line, read = _Line(0, _Words()), 0
    for word in words:
        read += len(word)
        yield line.take(word) if read <= LONGEST else REDACTED


class _Line:
    """A command line, word by word: what one word says of those after it."""

    def __init__(self, depth: int, words: _Words) -> None:
        self._depth = depth
        self._words = words
        self._program = rules.NO_PROGRAM
        self._before = self._last_but_one = ""
        self._seen: set[str] = set()
        """The words so far, without folders and in lower case."""
        self._names_secret = False
        self._positions: list[int] | None = None
        """How many words that are no options come before each secret one, of a subcommand that takes secrets so."""

    def take(self, word: str) -> str:
        """Return the next word without secrets."""
        if not self._words.left:
            return REDACTED
        self._words.left -= 1
        shown = self._shown(word)
        base = word.rpartition("/")[2].lower()
        no_command = self._before in rules.NO_COMMAND_AFTER or (self._before.startswith("--") and self._before != "--")
        if base in rules.PROGRAMS and not no_command:
            self._program, self._positions = rules.PROGRAMS[base], None
        positions = rules.POSITIONS.get(base.partition(".")[0])
        if positions is not None and (not positions.only or positions.only in self._seen):
            self._positions = list(positions.secret)
        self._seen.add(base)
        self._names_secret = self._names_secret or base in ("secret", "secrets") or _names_secret(word)
        self._last_but_one, self._before = self._before, word
        return shown

    def _shown(self, word: str) -> str:
        before, program = self._before, self._program
        if not word or (before and _PLAIN.fullmatch(word)) or self._is_id(word):
            return word
        if self._is_position(word) or self._follows(before, word):
            return REDACTED
        if (glued := self._glued(word)) is not None:
            return glued
        if (
            before in rules.WITH_USER
            or (_SWITCHES.fullmatch(before) and f"-{before[-1]}" in program.glued_user)
            or before in program.user
        ) and not program.ids:
            return self._user(word)
        if program.slash and (found := rules.SLASHED.fullmatch(word)):
            return f"{found['user']}/{REDACTED}{found['at'] or ''}"
        return self._assigned(word)

    def _glued(self, word: str) -> str | None:
        """Return a word with an option and its value without a blank between them, None where it is none."""
        if not word.startswith("-") or word.startswith("--"):
            return None
        if (pattern := self._program.glued) is not None and (found := pattern.match(word)):
            return f"{found[0]}{REDACTED}"
        if "login" in self._seen and word.startswith("-p") and len(word) > len("-p"):
            return f"-p{REDACTED}"
        for option in self._program.glued_user:  # perhaps behind switches of one letter, as in curl -sSubob:x
            found = re.match(rf"(-[A-Za-z]{{0,5}}?{option[1:]})([^-=].*[:%,].*)", word, re.DOTALL)
            if found:
                return found[1] + self._user(found[2])
        return None

    def _assigned(self, word: str) -> str:
        """Return a word that no other announces; what stands behind a ``name=`` at its beginning may have blanks."""
        found = _ASSIGNED.fullmatch(word)
        if found is None or self._before == "-c" or not (found["name"].startswith("-") or " " in word):
            return self._inner(word)
        name, value = found["name"], found["value"]
        if name in rules.WITH_USER and not self._program.ids:
            return f"{name}={self._user(value)}"
        if _is_secret(name, value):
            return self._inner(word) if _is_shown(value) or _NEXT.search(value) else f"{name}={REDACTED}"
        return f"{name}={self._inner(value)}" if name.startswith("-") else self._inner(word)

    def _inner(self, value: str) -> str:
        return _text(value, self._depth + 1, self._words)

    def _user(self, value: str) -> str:
        """Return ``user:password`` or its like without the password; two numbers are a user and a group."""
        found = rules.USER_PASSWORD.fullmatch(value)
        if found is None or rules.TWO_NUMBERS.fullmatch(value) or "://" in value or value.startswith(_PATH):
            return self._inner(value)
        return f"{found['user']}{found['sep']}{REDACTED}"

    def _is_id(self, word: str) -> bool:
        of_id = self._program.digests or rules.OF_ID.fullmatch(self._before)
        return bool(of_id and rules.ID.fullmatch(word))

    def _is_position(self, word: str) -> bool:
        if word.startswith("-"):
            return False
        if self._program.share and self._before.startswith("//"):
            return True
        if self._positions is None:
            return False
        self._positions = [left - 1 for left in self._positions]
        return -1 in self._positions

    def _follows(self, before: str, word: str) -> bool:
        """Tell whether a word is the secret that the word before it announces."""
        last = f"-{before[-1:]}" if _SWITCHES.fullmatch(before) else before
        if (
            before in self._program.secret
            or last in self._program.secret
            or (before in ("-p", "-P", "-t") and "login" in self._seen)
        ):
            return not (word.startswith("--") and _OPTION.fullmatch(word))
        if before.startswith("-"):
            if "=" in before or not _is_secret(before, word) or rules.SWITCH.match(before):
                return before in rules.VALUES and self._names_secret
            return not _OPTION.fullmatch(word)
        if before.endswith((":", "=")):
            name = before if len(before) > 1 else self._last_but_one
            return _is_secret(name.strip("{[\"':= $"), word.strip("\"',;}"))
        if (before.lower() in rules.BARE or rules.BARE_NAME.fullmatch(before)) and len(self._seen) > 1:
            return word.lower() not in rules.NOT_AFTER_BARE and not word.startswith(("-", "/"))
        return not rules.VERBS.isdisjoint(self._seen) and _names_secret(before) and not word.startswith("-")


def _names_secret(word: str) -> bool:
    """Tell whether a word like ``db/password`` or ``aws_secret_access_key`` names a secret that is set."""
    last = word.rpartition("/")[2]
    return (last != word or re.search(r"[_.:]|[a-z][A-Z]", last) is not None) and _is_secret(last, _LONG_ENOUGH)


def _alone(word: str, words: _Words) -> str:
    """Return a word without blanks redacted by what it shows itself."""
    word = "://".join([word.partition("://")[0], *(_AUTHORITY.sub(_userinfo, one, 1) for one in word.split("://")[1:])])
    word = _URL_TOKEN.sub(lambda found: found[0] if REDACTED in found[0] else f"{REDACTED}@", word)
    word = _DSN.sub(_dsn, word)
    word = rules.SLASH_OPTION.sub(rf"\g<name>{REDACTED}", word)
    word = rules.IN_URL.sub(lambda found: f"{found['name'] or found['stream'] or found['object']}{REDACTED}", word)
    word = rules.KNOWN.sub(REDACTED, _pairs(word, words))
    return _LONG.sub(_if_random, word)


def _userinfo(found: re.Match[str]) -> str:
    return found[0] if _PORT.match(found["secret"]) else f"{found['user']}:{REDACTED}@"


def _dsn(found: re.Match[str]) -> str:
    if found["user"].lower() in _NO_USER or found["secret"] == REDACTED:
        return found[0]
    return f"{found['user']}:{REDACTED}@"


def _pairs(word: str, words: _Words) -> str:
    """Return a word with the value of every ``name=value`` in it redacted where the name is secret; inner ones too."""
    parts: list[str] = []
    at = end = 0
    while found := _NAME.search(word, at):
        if not words.left:
            return "".join([*parts, REDACTED])
        words.left -= 1
        parts.append(word[at : found.end()])
        at = found.end()
        if whole := (_QUOTED_VALUE if found.start() else _VALUE_OF_WORD).match(word, at):
            after = whole.end()
        else:  # it ends where that of the name before does, if that is still ahead: no character is read twice
            if end <= at:
                ending = _ENDS_VALUE.search(word, at + 1)
                end = ending.start() if ending else len(word)
            after = end
        if after > at and _is_secret(found["name"], word[at : min(after, at + _OF_VALUE)].strip("\"'")):
            parts.append(_unquoted(word[at:after], lambda secret: secret if _is_shown(secret) else REDACTED))
            at = after
    return "".join([*parts, word[at:]])


def _is_shown(value: str) -> bool:
    return not value or REDACTED in value or _PLAIN.fullmatch(value) is not None


def _is_secret(name: str, value: str) -> bool:
    words = [word.lower() for word in _CAMEL.findall(name[-128:])]
    if not words or words[-1] in rules.HARMLESS or rules.HARMLESS_NAME.search(name):
        return False
    is_number = len(value) <= _OF_NUMBER and value.isdecimal()
    if is_number and not rules.COUNTED.isdisjoint(words):
        return False
    if name in rules.PERHAPS_FILE and _FOLDER.match(value):
        return False
    if words[-1] in rules.SECRET_LAST or not rules.SECRET.isdisjoint(words):
        return True
    if any(word.endswith(rules.SECRET_ENDS) and word not in rules.NO_PASS for word in words):
        return True
    is_plain = value.startswith(_PATH) or is_number or len(value) < 8
    return words[-1] in rules.KEYS and (len(words) > 1 or not is_plain) and not value.startswith(_PATH[:3])


def _if_random(found: re.Match[str]) -> str:
    """Redact what mixes letters and digits as no name does: hexadecimal, base64; paths and UUIDs are left."""
    word = found[0]
    if ("/" in word and not word.endswith("=")) or _UUID.search(word):
        return word
    plain = all(_PIECE.fullmatch(piece) for piece in re.split(r"[-_+/=]", word))
    return word if plain else REDACTED
