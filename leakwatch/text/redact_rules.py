"""What names a secret on a command line, and which programs take one without a name: the tables of ``redact``.

Facts of the programs' manuals; the shapes of tokens are those their services document (gitleaks and detect-secrets
look for the same).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SECRET = frozenset({
    "pass", "password", "passwords", "passwort", "passwd", "passphrase", "passcode", "pswd", "pwd", "pw", "secret",
    "secrets", "token", "tokens", "credential", "credentials", "cred", "creds", "auth", "authorization", "bearer",
    "cookie", "cookies", "dsn", "otp", "apikey", "accesskey", "secretkey", "privatekey", "authkey", "authtoken",
    "passin", "passout", "masterauth", "mnemonic", "jwt",
})  # fmt: skip
"""A name with one of these words in it has a secret value."""
SECRET_LAST = frozenset({"pin", "psk", "community", "sig", "signature", "salt", "unseal"})
"""So has one that ends in one of these words."""
SECRET_ENDS = ("password", "passwd", "passphrase", "secret", "token", "apikey", "pass", "pwd", "pw")
"""So has one with a word that ends in one of these: ``pgpassword``."""
NO_PASS = frozenset({
    "bypass", "compass", "encompass", "surpass", "trespass", "overpass", "underpass", "multipass", "subpass",
    "renderpass", "onepass", "twopass", "firstpass", "lastpass", "singlepass",
})  # fmt: skip
KEYS = frozenset({"key", "keys"})
"""So has one that ends in one of these, unless the value is a path, a number or a word of few letters."""
HARMLESS = frozenset({
    "file", "files", "path", "dir", "prompt", "stdin", "fd", "mode", "type", "policy", "helper", "length", "ttl",
    "timeout", "expiry", "expires", "lifetime", "url", "uri", "endpoint", "name", "count", "limit", "issuer",
    "audience", "format", "alg", "algorithm", "method", "provider", "backend", "namespace", "interval", "size",
    "cache", "enabled", "required", "column", "header", "host", "port", "user",
    "username", "users", "socket", "sock", "version", "env", "config", "conf", "cfg",
})  # fmt: skip
"""A name that ends in one of these tells where or how, not what."""
HARMLESS_NAME = re.compile(r"(?i)pass-?through|auth-?(?:user-)?nocache|initial-cluster-token$")
PERHAPS_FILE = frozenset({"-auth", "--auth", "--auth-user-pass", "auth-user-pass"})
"""Their value is a file where it is a path from a folder of the system: ``Xorg -auth /run/…``."""
COUNTED = frozenset({"tokens", "keys", "cookies"})
"""Plurals whose value is a number: ``--max-tokens 4096``."""
SWITCH = re.compile(r"--?(?:no|ask|without|disable|enable|skip|allow|require|prompt)-")
"""Options that begin so take no value."""
BARE = frozenset({
    "password", "passwd", "passphrase", "requirepass", "masterauth", "authtoken", "walletpassphrase", "input_pw",
    "user_pw", "owner_pw", "unseal", "by",
})  # fmt: skip
"""Words without hyphens that a secret follows: ``mysqladmin password x``, SQL's ``IDENTIFIED BY 'x'``."""
BARE_NAME = re.compile(
    r"(?:set|reset|change|update|init)(?:-\w{1,32})?-(?:password|passphrase|pin)"
    r"|[\w-]{1,64}(?:\.[\w-]{1,64})?\.(?:psk|password|passwd|passphrase|pin|wep-key\d)"
)
"""So do such: ``set-initial-password x``, ``wifi-sec.psk x``."""
NOT_AFTER_BARE = frozenset({
    "reset", "for", "is", "prompt", "manager", "change", "required", "hash", "store", "service", "worker", "cache",
    "agent", "file", "policy", "expired", "check", "set", "and", "or", "from", "to", "the", "uid", "user", "name",
})  # fmt: skip
VERBS = frozenset({"put", "set", "write", "setex", "hset", "config"})
"""After one of these, ``db/password x`` and ``aws_secret_access_key x`` set a secret."""
VALUES = frozenset({"--value", "-value", "--body", "--data-file=-"})
"""Their value is secret where another word names a secret: ``--name /prod/db/password --value x``."""
WITH_USER = frozenset({"-u", "-U", "--user", "--proxy-user", "--userpass", "--auth", "--http-user", "--login"})
"""Options with a user and perhaps the password behind a separator."""
NO_COMMAND_AFTER = frozenset({"-u", "-U", "-h", "-d", "-D"})
"""Options that a user, a host or a database follows, which may be called like a program: ``mysql -u git -px``."""
USER_PASSWORD = re.compile(r"(?P<user>[^:%,]{0,256})(?P<sep>[:%,])(?P<secret>.+)", re.DOTALL)
TWO_NUMBERS = re.compile(r"\d+:\d+|[a-z_][\w-]*:[a-z_]*(?:group|users|root|staff|wheel|nogroup)")
SLASHED = re.compile(
    r"(?P<user>(?:userid=)?[^/\s@-][^/\s@]{0,128})/(?P<secret>[^\s@][^\s]*?)(?P<at>@[^\s@/]+(?:/[^\s@]*)?)?"
)
"""Oracle's ``user/password@database``."""
SLASH_OPTION = re.compile(r"(?i)(?P<name>^/(?:p|pass|password|pwd|gp|pth):).+", re.DOTALL)
"""FreeRDP's ``/p:x``."""
IN_URL = re.compile(
    r"(?P<name>jdbc:oracle:\w{2,8}:[^\s/@]{1,128}/)\S{1,256}(?=@[\w/][^\s@]{0,256}(?!\S))"
    r"|(?P<stream>rtmps?://[^\s/]{1,256}/[\w.-]{1,64}/)(?=[\w-]*\d)[\w-]{10,}"
    r"|(?P<object>\bsecret,\S{0,256}?\bdata=|\buser(?:name)?=[^\s,%=&]{1,64}%(?![0-9A-Fa-f]{2}))[^\s,]+"
)
"""Oracle's user and password, the key of a video stream, QEMU's ``secret,id=a,data=x``, mount's ``user=a%x``."""
ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""A commit, an image, a container: no secret after ``OF_ID`` or in a program with ``digests``."""
OF_ID = re.compile(r"(?i)--?(?:[a-z-]{0,40}-)?(?:c?id|digest|commit|sha|revision)")
KNOWN = re.compile(
    r"\beyJ[\w-]{8,}+[\w.-]*+|\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{12,}|\bgh[pousr]_\w{10,}|\bgithub_pat_\w{10,}"
    r"|\bgl(?:pat|dt|rt|soat|cbt|ft|imt)-[\w-]{10,}|\bxox[abeoprs]-[\w-]{8,}|\bxapp-[\w-]{8,}|\b[rsp]k[-_][\w-]{16,}"
    r"|\bwhsec_\w{16,}|\bAIza[\w-]{20,}|\bya29\.[\w-]{10,}|\bGOCSPX-[\w-]{10,}|\bhv[sbr]\.[\w-]{10,}|\bnpm_\w{20,}"
    r"|\bSG\.[\w.-]{20,}|\bpypi-[\w-]{16,}|\bAGE-SECRET-KEY-\w+|\bshp(?:at|ca|pa|ss)_\w{16,}|\bdo[opr]_v1_\w{16,}"
    r"|\bdapi[0-9a-f]{16,}|\bhf_\w{16,}|\bATATT3[\w=-]{16,}|\blin_api_\w{16,}|\bgl(?:sa|c)_\w{16,}|\bdp\.[a-z]{2}\.\w{16,}"
    r"|\bpscale_\w+_[\w.-]{16,}|\bdckr_pat_[\w-]{10,}|\bNRAK-\w{16,}|\bPMAK-[\w-]{16,}|\btskey-[\w-]{8,}|\bfo1_[\w-]{16,}"
    r"|\bkey-[0-9a-f]{24,}|\b\d{8,10}:[\w-]{30,}|(?<=hooks\.slack\.com/services/)[\w/]{16,}"
    r"|(?<=discord\.com/api/webhooks/)[\w/-]{16,}"
)
"""Tokens that their services gave a shape to."""


@dataclass(frozen=True, slots=True)
class Program:
    """How one program takes secrets that no name announces."""

    secret: frozenset[str] = frozenset()
    """Options that a secret follows as the next word."""
    glued: re.Pattern[str] | None = None
    """Options with the secret behind them without a blank, switches of one letter perhaps before: ``zip -rPx``."""
    user: frozenset[str] = frozenset()
    """Options that ``user:password`` follows, beside ``WITH_USER``."""
    glued_user: tuple[str, ...] = ()
    """Options with ``user:password`` behind them without a blank."""
    slash: bool = False
    """It takes ``user/password@database``."""
    share: bool = False
    """The secret may follow ``//server/share``."""
    ids: bool = False
    """Its ``-u`` takes a user and a group."""
    digests: bool = False
    """It is given commits, images or containers."""


@dataclass(frozen=True, slots=True)
class Positions:
    """Which of the words after a subcommand are secret, options not counted."""

    secret: tuple[int, ...]
    only: str = ""
    """Only after this word."""


NO_PROGRAM = Program()


def _table(rows: dict[str, Program]) -> dict[str, Program]:
    return {name: program for names, program in rows.items() for name in names.split()}


def _takes(secret: str = "", glued: str = "", user: str = "", glued_user: str = "") -> Program:
    pattern = re.compile(f"(?:{'|'.join(glued.split())})(?=.)", re.DOTALL) if glued else None
    return Program(frozenset(secret.split()), pattern, frozenset(user.split()), tuple(glued_user.split()))


PROGRAMS: dict[str, Program] = _table({
    "mysql mysqldump mysqladmin mysqlimport mysqlcheck mysqlshow mysqlslap mysqlbinlog mysqlpump mysqlsh mariadb "
    "mariadb-dump mariadb-admin mariadb-backup xtrabackup": _takes(glued="-[sNBtrvfqnEHX]{0,6}p"),
    "sshpass": _takes("-p", "-p"),
    "7z 7za 7zr 7zz rar unrar": _takes(glued="-hp -p"),
    "zip unzip zipcloak funzip bsdtar": _takes("-P --passphrase", "-[A-OQ-Za-oq-z0-9]{0,8}P"),
    "curl": _takes(
        "-b --cookie --pass --oauth2-bearer --tlspassword", "-[sSkLfgivN]{0,8}b", "-E --cert --proxy-cert", "-u -U"
    ),
    "smbclient smbget smbcacls": Program(frozenset({"--password"}), glued_user=("-U",), share=True),
    "rpcclient net winexe smbtree wmic": _takes("--password", "", "", "-U"),
    "redis-cli valkey-cli keydb-cli": _takes("-a --pass"),
    "mongo mongosh mongodump mongorestore mongoexport mongoimport mongostat mongotop cqlsh cypher-shell beeline "
    "mycli pgcli xfreerdp rabbitmqadmin twine conan veracrypt hydra crackmapexec netexec nxc evil-winrm smbmap "
    "rdesktop isql osql racadm idracadm7":
        _takes("-p", "-p"),
    "ldapsearch ldapadd ldapmodify ldapdelete ldapwhoami ldapcompare ldapmodrdn ldapexop kadmin":
        _takes("-w -pw", "-[xvncCLMZ]{0,8}w"),
    "ldappasswd slappasswd": _takes("-w -s -a", "-[xvnCSZ]{0,8}[was]"),
    "snmpwalk snmpget snmpset snmpbulkwalk snmpbulkget snmpgetnext snmptable snmpdf snmptrap snmpinform snmpstatus "
    "snmptest snmpusm snmpdelta check_snmp": _takes("-c -A -X -C", "-c -A -X"),
    "ipmitool ipmiutil ipmi-sensors ipmipower ipmi-sel": _takes("-P -p -k -y", "-P"),
    "mosquitto_pub mosquitto_sub mosquitto_rr": _takes("-P --pw"),
    "openconnect": _takes("-C"),
    "doctl influx": _takes("-t"),
    "gitlab-runner": _takes("-r -t"),
    "p4": _takes("-P"),
    "az": _takes("-p"),
    "ykman": _takes("-P -p -n -m"),
    "iscsiadm": _takes("-v --value"),
    "rclone": _takes("pass password token client_secret secret_access_key"),
    "sendemail": _takes("-xp"),
    "sqlcmd bcp tsql": _takes("-P", "-P"),
    "openssl": _takes("-passin -passout -pass -k -K -hmac"),
    "ssh-keygen": _takes("-N -P", "-N"),
    "plink pscp psftp putty puttygen": _takes("-pw"),
    "pdftotext pdftoppm pdfinfo pdfimages pdftocairo": _takes("-upw -opw"),
    "useradd usermod": _takes("-p --password"),
    "smbpasswd": _takes("-w"),
    "swaks": _takes("-ap --auth-password"),
    "lftp ncftpput ncftpget ncftp": _takes("-p", "", "", "-u"),
    "http https xh ab siege": _takes("", "", "-a -A -P", "-a -A"),
    "skopeo buildah crane": _takes("--creds --src-creds --dest-creds"),
    "nuget dotnet": _takes("-k -ApiKey"),
    "sqlplus sqlldr exp imp expdp impdp rman sqlcl adrci": Program(slash=True),
    "docker podman nerdctl": Program(ids=True, digests=True),
    "chroot install chown setpriv unshare": Program(ids=True),
    "git runc crun conmon ctr crictl containerd-shim containerd-shim-runc-v1 containerd-shim-runc-v2 ostree "
    "docker-containerd-shim buildkitd kata-runtime bootc": Program(digests=True),
})  # fmt: skip
"""Programs by name; a word that is one of them tells how those after it are read, ``sudo`` or ``env`` before it."""

POSITIONS: dict[str, Positions] = {
    "htpasswd": Positions((2,)),
    "htdigest": Positions((3,)),
    "mosquitto_passwd": Positions((2,)),
    "secret-set-value": Positions((1,), "virsh"),
    "--encrypt": Positions((0, 1), "qpdf"),
    "wpa_passphrase": Positions((1,)),
    "add_user": Positions((1,), "rabbitmqctl"),
    "change_password": Positions((1,), "rabbitmqctl"),
    "authenticate_user": Positions((1,), "rabbitmqctl"),
    "alias": Positions((3, 4), "mc"),
    "user": Positions((1,), "net"),
    "passwd": Positions((0,), "openssl"),
    "mkpasswd": Positions((0,)),
    "login": Positions((0,), "vault"),
    "unseal": Positions((0,), "vault"),
    "auth": Positions((0,), "redis-cli"),
    "http-basic": Positions((1,), "composer"),
    "isql": Positions((2,)),
    "using": Positions((0,), "db2"),
}
"""Commands by the word before the first that counts."""
