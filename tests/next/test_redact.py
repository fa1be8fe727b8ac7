"""Command lines without secrets: what must go, what must stay, and that no text makes it slow."""

from __future__ import annotations

import shlex
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.redact import REDACTED, redacted, text

SECRET = "hunter2"

GONE = [
    f"app --password {SECRET} --port 80",
    f"app --db-password={SECRET}",
    f"app --dbPassword={SECRET}",
    f"app -token {SECRET}",
    f"app --client_secret={SECRET} --verbose",
    f"app --api-key={SECRET}long",
    f"java -Dspring.datasource.password={SECRET} -Djavax.net.ssl.keyStorePassword={SECRET} -Xmx512m -jar app.jar",
    f"env AWS_SECRET_ACCESS_KEY={SECRET} PGPASSWORD={SECRET} app",
    f"sh -c 'PGPASSWORD=\"{SECRET} with blanks\" psql -h db'",
    f"sh -c 'app --password {SECRET} | tee log'",
    f"app postgres://shop:{SECRET}@db:5432/shop?sslmode=off",
    f"app 'amqp://u:p@ss{SECRET}@mq/'",
    f"app DATABASE_URL=mysql://u:{SECRET}@h/db",
    f"curl -u anna:{SECRET} https://shop/",
    f"curl -H 'Authorization: Bearer {SECRET}' https://shop/",
    f"curl -H 'X-Api-Key: {SECRET}12' -b session={SECRET} https://shop/",
    f"mysql -uroot -p{SECRET} shop",
    f"/usr/bin/mysqldump -p{SECRET} shop",
    f"redis-cli -a {SECRET} ping",
    f"""app '{{"api_key": "{SECRET}", "port": 5}}'""",
    f"app 'https://h/x?user=a&access_token={SECRET}&page=2'",
    "git clone https://ghp_abcdefghijklmnop" + SECRET + "@github.com/x",
    f"app --cookie=sid:{SECRET}",
    f"app eyJhbGciOiJIUzI1NiJ9.{SECRET}.sig",
    f"app '-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----'",
    f"app --seed 9f86d081884c7d659a2feaa0c55ad015{SECRET}",
]
STAYS = [
    "nginx: worker process",
    "postgres: shop shop 10.0.0.1(5432) idle",
    "gunicorn: worker [shop]",
    "java -XX:NativeMemoryTracking=summary -Xmx512m -cp /usr/share/java/a.jar:/opt/b.jar com.example.shop.Main",
    "node --max-old-space-size=4096 --heapsnapshot-signal=SIGUSR2 server.js",
    "app --passwords-file /run/secrets/db --tls-key /etc/ssl/private/shop.key --compass north --bypass=1",
    "python3 -m shop.worker --queue default-high-priority-2024-11-26 --workers 8",
    "/usr/lib/postgresql/15/bin/postgres -D /var/lib/postgresql/15/main -c config_file=/etc/postgresql/postgresql.conf",
    "sshd: anna [priv]",
    "kubelet --authorization-mode=Webhook --config=/var/lib/kubelet/config.yaml",
]


@pytest.mark.parametrize("line", GONE)
def test_a_secret_goes_and_the_rest_stays(line: str) -> None:
    words = shlex.split(line)
    clean = redacted(words)
    assert SECRET not in " ".join(clean)
    assert REDACTED in " ".join(clean)
    assert (len(clean), clean[0]) == (len(words), words[0])


@pytest.mark.parametrize("line", STAYS)
def test_what_is_no_secret_stays(line: str) -> None:
    assert redacted(shlex.split(line)) == tuple(shlex.split(line))
    assert redacted([line]) == (line,)  # a title of one piece, as setproctitle writes it


def test_a_title_written_over_the_arguments_is_looked_at_word_by_word() -> None:
    assert redacted([f"shop worker --password {SECRET} idle"]) == (f"shop worker --password {REDACTED} idle",)


def test_what_it_cannot_know_is_said_not_guessed() -> None:
    assert redacted(["login", "anna", "sesame"]) == ("login", "anna", "sesame")


@pytest.mark.parametrize(
    "piece",
    ["a", "-", "password", "x=:", "a-", "a1-", "aA_", "--pass ", "a://", "a:b@", "'", '"', "bearer ", "=", "eyJ."],
)
def test_no_text_makes_it_slow(piece: str) -> None:
    long = piece * (16384 // len(piece))  # as much as is read of a command line
    began = time.process_time()
    text(long)
    redacted([long, long])
    assert time.process_time() - began < 1.0


@given(st.lists(st.text(max_size=60), max_size=6))
def test_any_arguments_are_taken(arguments: list[str]) -> None:
    assert len(redacted(arguments)) == len(arguments)
    assert redacted(redacted(arguments)) == redacted(arguments)
