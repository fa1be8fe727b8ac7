r"""Takes secrets out of command lines, which show them to everybody who may look at /proc.

How: every argument is looked at on its own and with the one before it. Replaced by ``[redacted]`` is

- the value of an option or assignment whose name says that it is secret (password, token, secret, credential, API key
  and the like): ``--db-password=x``, ``--token x``, ``-Dssl.keyStorePassword=x``, ``AWS_SECRET_ACCESS_KEY=x``,
  ``"api_key": "x"``; not where the name ends in ``file``, ``path`` or ``dir``;
- the password in a URL, ``user:x@``, and in ``-u user:x`` and ``--user user:x``;
- ``-px`` of the MySQL clients, ``-a x`` of redis-cli and their like, HTTP's ``Authorization:`` and cookies;
- what looks like a secret by itself: tokens of well-known services, JSON web tokens, private keys, and any 24 or more
  characters that mix letters and digits as no words and numbers do.

What it cannot know is a short password that stands alone, as in ``login anna sesame``. A value whose name merely sounds
secret goes too: better one too many.
"""

# Every pattern is linear in the text: the text is chosen by whoever runs the process.

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

REDACTED = "[redacted]"

_SECRET = frozenset({
    "pass", "password", "passwords", "passwd", "passphrase", "passcode", "pwd", "pw", "secret", "secrets", "token",
    "tokens",
    "credential", "credentials", "cred", "creds", "auth", "authorization", "bearer", "cookie", "cookies", "dsn", "otp",
    "apikey", "accesskey", "secretkey", "privatekey", "keypass", "storepass", "userpass",
})  # fmt: skip
"""A name with one of these words in it has a secret value."""
_ENDS = ("password", "passwd", "passphrase", "secret", "token", "apikey")
"""So has one with a word that ends in one of these: ``pgpassword``."""
_KEYS = frozenset({"key", "keys"})
"""So has one that ends in one of these, unless the value is a path, a number or a word of few letters."""
_HARMLESS = frozenset(
    {"file", "files", "path", "dir", "prompt", "stdin", "fd", "mode", "type", "policy", "helper", "length"}
)
"""A name that ends in one of these tells where or how, not what."""
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_PAIR = re.compile(
    r"""(?<![\w.-])(?P<name>[\w.-]++)(?P<sep>["']?\s{0,3}[=:]\s{0,3})(?P<value>"[^"]*+"?|'[^']*+'?|[^\s"'&;,}]++)"""
)
_SPACED = re.compile(r"(?<!\S)(?P<name>--?[\w.-]++)(?P<sep>\s{1,3})(?P<value>[^\s-]\S*+)")
_URL = re.compile(r"(?<=://)(?P<user>[^\s/:@]{0,256}):[^\s/]{1,1024}@")
_URL_TOKEN = re.compile(r"(?<=://)[^\s/:@]{16,1024}@")
_HEADER = re.compile(r"(?i)(?P<name>\b(?:authorization|cookie)\s{0,3}:\s{0,3}).+")
_SCHEME = re.compile(r"(?i)(?P<name>\b(?:bearer|basic|digest|negotiate)\s{1,3})[\w.~+/=-]{8,}+")
_KNOWN = re.compile(
    r"\beyJ[\w-]{8,}\.[\w.-]+|\b(?:AKIA|ASIA)[0-9A-Z]{12,}|\bgh[pousr]_\w{10,}|\bgithub_pat_\w{10,}|\bglpat-[\w-]{10,}"
    r"|\bxox[abeprs]-[\w-]{8,}|\b[rsp]k[-_][\w-]{16,}|\bAIza[\w-]{20,}|\bhvs\.[\w-]{10,}|\bnpm_\w{20,}|\bSG\.[\w.-]{20,}"
    r"|\bpypi-[\w-]{16,}|\bAGE-SECRET-KEY-\w+"
)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----.*", re.DOTALL)
_LONG = re.compile(r"(?<![\w+/.-])[A-Za-z0-9+/_-]{24,}+={0,2}(?!\w)")
_PIECE = re.compile(r"[A-Z]?[a-z]*|[A-Z]*|[0-9]{1,8}|[a-z]{1,10}[0-9]{1,3}|[0-9]{1,3}[a-z]{1,10}")
"""What stands between the hyphens of an ordinary name."""
_GLUED = dict.fromkeys(("mysql", "mysqldump", "mysqladmin", "mariadb", "mariadb-dump", "sshpass"), "-p")
"""Programs whose short option has the password behind it without a blank."""
_SHORT = {
    "redis-cli": ("-a",), "mongo": ("-p",), "mongosh": ("-p",), "mongodump": ("-p",), "ldapsearch": ("-w",),
    "ldapadd": ("-w",), "ldapmodify": ("-w",), "sshpass": ("-p",), "sqlcmd": ("-P",), "zip": ("-P",), "curl": ("-b",),
    "openssl": ("-passin", "-passout", "-k", "-K"),
}  # fmt: skip
"""Programs with a short option that a secret follows."""
_WITH_USER = frozenset({"-u", "-U", "--user", "--proxy-user", "--userpass"})


def redacted(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments of a command line without secrets."""
    if len(arguments) == 1 and " " in arguments[0]:  # a title the process wrote over its arguments
        return (" ".join(_each(arguments[0].split(" "))),)
    return _each(arguments)


def _each(arguments: Sequence[str]) -> tuple[str, ...]:
    programs = [one.rpartition("/")[2] for one in arguments[:3]]  # with `sudo` or `env` before it, too
    follows = {option for program in programs for option in _SHORT.get(program, ())}
    glued = {_GLUED[program] for program in programs if program in _GLUED}
    pairs = zip(("", *arguments), arguments, strict=False)
    return tuple(_one(argument, before, follows, glued) for before, argument in pairs)


def _one(argument: str, before: str, follows: set[str], glued: set[str]) -> str:
    if before in follows:
        return REDACTED
    if before.startswith("-") and "=" not in before and not argument.startswith("-") and _is_secret(before, argument):
        return REDACTED
    option = next((one for one in glued if argument.startswith(one) and len(argument) > len(one)), None)
    if option is not None:
        return f"{option}{REDACTED}"
    if before in _WITH_USER and ":" in argument and "://" not in argument:
        return f"{argument.partition(':')[0]}:{REDACTED}"
    return text(argument)


def text(value: str) -> str:
    """Return a text of any kind without what looks like a secret in it."""
    value = _PRIVATE_KEY.sub(REDACTED, value)
    value = _HEADER.sub(rf"\g<name>{REDACTED}", value)
    value = _URL.sub(rf"\g<user>:{REDACTED}@", value)
    value = _URL_TOKEN.sub(_unless_redacted, value)
    value = _PAIR.sub(_pair, value)
    value = _SPACED.sub(_pair, value)
    value = _SCHEME.sub(rf"\g<name>{REDACTED}", value)
    value = _KNOWN.sub(REDACTED, value)
    return _LONG.sub(_if_random, value)


def _pair(found: re.Match[str]) -> str:
    value = found["value"]
    if not _is_secret(found["name"], value) or REDACTED in value:
        return found[0]
    quote = value[0] if value[0] in "\"'" else ""
    return f"{found['name']}{found['sep']}{quote}{REDACTED}{quote}"


def _is_secret(name: str, value: str) -> bool:
    words = [word.lower() for word in _WORDS.findall(name[-128:])]
    if not words or words[-1] in _HARMLESS:
        return False
    if _SECRET.intersection(words) or any(word.endswith(_ENDS) for word in words):
        return True
    is_plain = value.startswith(("/", "./", "~", "@")) or value.isdecimal() or len(value) < 8
    return words[-1] in _KEYS and (len(words) > 1 or not is_plain) and not value.startswith(("/", "./", "~"))


def _unless_redacted(found: re.Match[str]) -> str:
    return found[0] if REDACTED in found[0] else f"{REDACTED}@"


def _if_random(found: re.Match[str]) -> str:
    """Redact what mixes letters and digits as no name does: hexadecimal, base64; a path is left."""
    word = found[0]
    if "/" in word and not word.endswith("="):
        return word
    plain = all(_PIECE.fullmatch(piece) for piece in re.split(r"[-_+/=]", word))
    return word if plain else REDACTED
