"""Tables: which service a process belongs to, and what a program is called."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.collectors.processes.statm_scan import as_text
from leakwatch.collectors.services.naming import group_within, program_of, service_of
from leakwatch.model.identity import Service, ServiceKind
from leakwatch.procfs.pid import cgroup as pid_cgroup

ID = "3f1c0a9be57d44d2a8d16b0c7e2f9a518b6d0e4c2a7f13905d8e6b4c1f2a3d70"
SHORT = ID[:12]
UID = "1ab2c3d4-0e5f-4a6b-8c7d-9e0f1a2b3c4d"
USER = "/user.slice/user-1000.slice"
UNIT, CONTAINER, CGROUP, PROGRAM = ServiceKind.UNIT, ServiceKind.CONTAINER, ServiceKind.CGROUP, ServiceKind.PROGRAM
THE_PROGRAM = (PROGRAM, "prog")


def of(cgroup: str) -> tuple[ServiceKind, str]:
    service = service_of(pid_cgroup.parse(cgroup.encode()), "comm", "/usr/bin/prog", ())
    return service.kind, service.name


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        # systemd
        ("/system.slice/nginx.service", (UNIT, "nginx.service")),
        ("/system.slice/docker.service", (UNIT, "docker.service")),
        ("/system.slice/containerd.service", (UNIT, "containerd.service")),
        ("/system.slice/system-getty.slice/getty@tty1.service", (UNIT, "getty@tty1.service")),
        ("/system.slice/system-foo.slice/foo@main.service/worker", (UNIT, "foo@main.service")),
        ("/custom.slice/custom-app.slice/app.service", (UNIT, "app.service")),
        # instances that only count are one service, those that name something that lasts are not
        ("/system.slice/system-foo.slice/foo@1.service", (UNIT, "foo@.service")),
        ("/system.slice/system-foo.slice/foo@999.service/worker", (UNIT, "foo@.service")),
        ("/system.slice/ssh@3-127.0.0.1:22-10.0.0.9:50022.service", (UNIT, "ssh@.service")),
        ("/system.slice/x@7-1234-1000.service", (UNIT, "x@.service")),
        ("/system.slice/systemd-coredump@12-3456-0.service", (UNIT, "systemd-coredump@.service")),
        ("/system.slice/system-redis.slice/redis@6379.service", (UNIT, "redis@6379.service")),
        ("/system.slice/system-postgresql.slice/postgresql@15-main.service", (UNIT, "postgresql@15-main.service")),
        ("/system.slice/system-openvpn.slice/openvpn@office.service", (UNIT, "openvpn@office.service")),
        # what systemd-run numbered itself names nothing
        ("/system.slice/run-u12.service", THE_PROGRAM),
        (f"/system.slice/run-r{UID.replace('-', '')}.service", THE_PROGRAM),
        ("/system.slice/run-p123-i456.service/inner", THE_PROGRAM),
        ("/system.slice/run-backup.service", (UNIT, "run-backup.service")),
        ("/init.scope", THE_PROGRAM),
        ("/system.slice", THE_PROGRAM),
        ("/", THE_PROGRAM),
        ("/..", THE_PROGRAM),
        ("/../../other", THE_PROGRAM),
        # people
        (f"{USER}/session-3.scope", THE_PROGRAM),
        (f"{USER}/user@1000.service", THE_PROGRAM),
        (f"{USER}/user@1000.service/init.scope", THE_PROGRAM),
        (f"{USER}/user@1000.service/app.slice/foo.service", (UNIT, "user@1000/foo.service")),
        (f"{USER}/user@1000.service/app.slice/app-firefox@3d9c1f0a9be57d44.service", (
            UNIT, "user@1000/app-firefox@.service")),
        (f"{USER}/user@1000.service/app.slice/app-gnome-firefox-1234.scope", THE_PROGRAM),
        (f"{USER}/user@1000.service/app.slice/run-u12.scope", THE_PROGRAM),
        ("/system.slice/run-r0123.scope", THE_PROGRAM),
        # docker, podman
        (f"/docker/{ID}", (CONTAINER, SHORT)),
        (f"/system.slice/docker-{ID}.scope", (CONTAINER, SHORT)),
        (f"/system.slice/docker-{ID}.scope/init.scope", (CONTAINER, SHORT)),
        (f"/docker/{ID}/system.slice/cron.service", (CONTAINER, f"{SHORT}/cron.service")),
        (f"/machine.slice/libpod-{ID}.scope", (CONTAINER, SHORT)),
        (f"/machine.slice/libpod-{ID}.scope/container", (CONTAINER, SHORT)),
        (f"{USER}/user@1000.service/user.slice/libpod-{ID}.scope/container", (CONTAINER, SHORT)),
        (f"/machine.slice/libpod-conmon-{ID}.scope", THE_PROGRAM),
        (f"/system.slice/web.service/libpod-payload-{ID}", (UNIT, "web.service")),
        # containerd, Kubernetes
        (f"/default/{ID}", (CONTAINER, SHORT)),
        (f"/system.slice/nerdctl-{ID}.scope", (CONTAINER, SHORT)),
        (f"/kubepods/burstable/pod{UID}/{ID}", (CONTAINER, SHORT)),
        (f"/kubepods/besteffort/pod{ID[:32]}/{ID}", (CONTAINER, SHORT)),
        ((f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID.replace('-', '_')}.slice"
         f"/cri-containerd-{ID}.scope"), (CONTAINER, SHORT)),
        (f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/crio-{ID}.scope", (CONTAINER, SHORT)),
        (f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/crio-conmon-{ID}.scope", THE_PROGRAM),
        (f"/system.slice/containerd.service/kubepods-burstable-pod{UID}.slice:cri-containerd:{ID}", (CONTAINER, SHORT)),
        # lxc, nspawn, virtual machines
        ("/lxc/web", (CONTAINER, "web")),
        ("/lxc.payload.web", (CONTAINER, "web")),
        ("/lxc.payload.web/system.slice/nginx.service", (CONTAINER, "web/nginx.service")),
        ("/machine.slice/systemd-nspawn@web.service/payload", (CONTAINER, "web")),
        ("/machine.slice/systemd-nspawn@web.service/payload/system.slice/x.service", (CONTAINER, "web/x.service")),
        ("/machine.slice/systemd-nspawn@web.service/supervisor", (UNIT, "systemd-nspawn@web.service")),
        ("/machine.slice/machine-my\\x2dbox.scope/payload/system.slice/x.service", (CONTAINER, "my-box/x.service")),
        ("/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator", (CONTAINER, "qemu-vm")),
        ("/payload/system.slice/x.service", (UNIT, "x.service")),
        ("/payload/init.scope", THE_PROGRAM),
        ("/payload", THE_PROGRAM),
        ("/supervisor", THE_PROGRAM),
        ("/machine.slice/machine-qemu\\x2d7\\x2dvm\\x2d2.scope", (CONTAINER, "qemu-vm-2")),
        ("/garden/web", (CONTAINER, "web")),
        # ECS: containers of docker, and of Fargate
        (f"/ecs/{ID[:32]}/{ID}", (CONTAINER, SHORT)),
        (f"/ecs/{ID[:32]}/{ID[:32]}-1234567890", (CONTAINER, SHORT)),
        (f"/ecs/shop/{ID[:32]}/{ID[:32]}-265927825", (CONTAINER, SHORT)),
        (f"/ecstasks.slice/ecstasks-{ID[:32]}.slice/docker-{ID}.scope", (CONTAINER, SHORT)),
        # Nomad: the allocation is another one each time, the task is not
        (f"/nomad.slice/share.slice/{UID}.web.scope", (CONTAINER, "web")),
        (f"/nomad.slice/reserve.slice/{UID[::-1].replace('-', '0')[:8]}-0e5f-4a6b-8c7d-9e0f1a2b3c4d.web.scope", (
            CONTAINER, "web")),
        # Android: a process of an application
        ("/uid_10123/pid_4567", (CGROUP, "/uid_10123")),
        ("/apps/uid_10123/pid_4567", (CGROUP, "/apps/uid_10123")),
        ("/system/uid_1000/pid_321", (CGROUP, "/system/uid_1000")),
        ("/apps/uid_99012/pid_321", THE_PROGRAM),
        # batch jobs and their steps
        ("/system.slice/slurmstepd.scope/job_4711/step_0/user/task_0", THE_PROGRAM),
        ("/system.slice/node1_slurmstepd.scope/job_4711/step_batch/user/task_special", THE_PROGRAM),
        ("/slurm/uid_1000/job_4711/step_extern/task_0", THE_PROGRAM),
        ("/system.slice/slurmd.service/job_4711/step_0", THE_PROGRAM),
        ("/pbs_jobs.service/jobid/4711.server", THE_PROGRAM),
        ("/pbspro.slice/pbspro-4711.slice", THE_PROGRAM),
        ("/torque/4711.server", THE_PROGRAM),
        ("/lsf/cluster1/job.4711.12345.1700000000", THE_PROGRAM),
        ("/UGE/4711.1", THE_PROGRAM),
        ("/system.slice/condor.service/htcondor/condor_var_lib_condor_execute_slot1_1@host", THE_PROGRAM),
        ("/hadoop-yarn/container_1410901177871_0001_01_000005", THE_PROGRAM),
        ("/docker/buildkit/k3n2v9x0", THE_PROGRAM),
        # called by a number or a random id
        ("/mesos/1ab2c3d4-0e5f-4a6b-8c7d-9e0f1a2b3c4d", THE_PROGRAM),
        ("/limits/4711", THE_PROGRAM),
        ("/builds/build-17/worker", THE_PROGRAM),
        ("/system.slice/apptainer-4711.scope", THE_PROGRAM),
        (f"/user.slice/snap.firefox.firefox-{UID}.scope", THE_PROGRAM),
        (f"/system.slice/snap.tool.tool-{UID}.scope", THE_PROGRAM),
        ("/system.slice/run-u7.service", THE_PROGRAM),
        ("/system.slice/dbus-:1.3-org.example.x@0.service", (UNIT, "dbus-org.example.x@.service")),
        # somebody's own
        ("/batch/nightly", (CGROUP, "/batch/nightly")),
        ("/with:colon", (CGROUP, "/with:colon")),
    ],
)  # fmt: skip
def test_the_service_of_a_control_group(path: str, expected: tuple[ServiceKind, str]) -> None:
    assert of(f"0::{path}\n") == expected
    assert of(f"3:memory:/\n1:name=systemd:{path}\n") == expected


def test_paths_of_field_reports_name_what_lasts() -> None:
    file = Path(__file__).parents[1] / "data/cgroups/transient.json"
    found = {name: of(case["cgroup"]) for name, case in json.loads(file.read_text()).items()}
    assert found == {
        "android-uid": (CGROUP, "/uid_10123"),
        "android-apps-v2": (CGROUP, "/apps/uid_10123"),
        "ecs": (CONTAINER, "0123456789ab"),
        "slurm-v2": THE_PROGRAM,
    }


def test_the_group_of_what_lasts_is_the_whole_of_it() -> None:
    service = Service(ServiceKind.CGROUP, "/uid_10123")
    assert group_within("/uid_10123/pid_4567", service) == "/uid_10123"
    assert group_within("/uid_101234/pid_1", service) is None


def test_a_v1_limit_somebody_set_is_no_service() -> None:
    assert of("4:memory:/limited\n1:name=systemd:/user.slice/user-0.slice/session-1.scope\n") == THE_PROGRAM


def test_a_v1_container_is_found_in_any_hierarchy() -> None:
    assert of(f"4:memory:/docker/{ID}\n1:name=systemd:/\n0::/system.slice/docker.service\n") == (CONTAINER, SHORT)


def test_without_control_groups_it_is_the_program() -> None:
    assert service_of(None, "init", "/bin/busybox", ("init",)) == Service(PROGRAM, "busybox init")


@pytest.mark.parametrize(
    ("exe", "command", "expected"),
    [
        ("/usr/sbin/nginx", ["nginx: master process /usr/sbin/nginx"], "nginx"),
        ("/usr/bin/redis-server", ["/usr/bin/redis-server", "127.0.0.1:6379"], "redis-server"),
        ("/usr/bin/redis-server (deleted)", ["redis-server"], "redis-server"),
        ("/memfd:payload (deleted)", ["x"], "memfd:payload"),
        ("/usr/bin/git", ["git", "fetch", "--all"], "git fetch"),
        ("/usr/bin/sleep", ["sleep", "60"], "sleep"),
        ("/opt/My App/bin/tool", ["/opt/My App/bin/tool"], "tool"),
        # python
        ("/usr/bin/python3.11", ["python3", "/srv/app/worker.py", "--fast"], "python3.11 worker.py"),
        ("/usr/bin/python3", ["python3", "manage.py", "runserver"], "python3 manage.py runserver"),
        ("/usr/bin/python3", ["python3", "-u", "-W", "ignore", "-X", "dev", "app.py"], "python3 app.py"),
        ("/usr/bin/python3", ["python3", "-m", "http.server", "8000"], "python3 -m http.server"),
        ("/usr/bin/python3", ["python3", "-Im", "celery", "worker"], "python3 -m celery worker"),
        ("/usr/bin/python3", ["python3", "-c", "import os; os.wait()"], "python3 -c"),
        ("/usr/bin/python3", ["python3", "-Ic", "secret = 1"], "python3 -c"),
        ("/usr/bin/python3", ["python3"], "python3"),
        # java
        ("/usr/lib/jvm/21/bin/java", ["java", "-Xmx1g", "-jar", "/srv/app.jar", "--x"], "java -jar app.jar"),
        ("/usr/bin/java", ["java", "-cp", "a:b", "-Dx=y", "org.acme.Main", "arg"], "java org.acme.Main"),
        ("/usr/bin/java", ["java", "-version"], "java"),
        # others
        ("/usr/bin/node", ["node", "--inspect", "-r", "dotenv", "/srv/server.js"], "node server.js"),
        ("/usr/bin/node", ["node", "-e", "while(1);"], "node -e"),
        ("/usr/bin/node", ["node", "--eval", "while(1);"], "node --eval"),
        ("/usr/bin/perl", ["perl", "-w", "/usr/sbin/munin-node"], "perl munin-node"),
        ("/usr/bin/perl", ["perl", "-ne", "print"], "perl -e"),
        # a title the program gave itself, in place of its arguments
        ("/usr/bin/python3.11", ["gunicorn: master [app:app]"], "python3.11 gunicorn"),
        ("/usr/bin/python3.11", ["gunicorn: worker [app:app]"], "python3.11 gunicorn"),
        ("/usr/bin/python3.11", ["[celeryd: celery@host:MainProcess] -active- (worker)"], "python3.11 celeryd"),
        ("/usr/bin/python3.11", ["worker-12 idle"], "python3.11 worker"),
        ("/usr/bin/ruby3.1", ["puma: cluster worker 0: 812 [app]"], "ruby3.1 puma"),
        ("/usr/bin/ruby3.1", ["sidekiq 6.5.1 app [0 of 5 busy]"], "ruby3.1 sidekiq"),
        ("/usr/bin/perl", ["/usr/sbin/amavisd-new (ch1-avail)"], "perl amavisd-new"),
        ("/usr/bin/ruby3.1", ["ruby", "bin/rails", "server"], "ruby3.1 rails server"),
        ("/usr/bin/php8.2", ["php", "-d", "x=1", "artisan", "queue"], "php8.2 artisan queue"),
        ("/bin/sh", ["/bin/sh", "-e", "/etc/init.d/thing", "start"], "sh thing start"),
        ("/bin/bash", ["bash", "-lc", "some code"], "bash -c"),
        ("/bin/bash", ["bash", "-o", "pipefail", "job.sh"], "bash job.sh"),
        ("/bin/bash", ["-bash"], "bash"),
        ("/bin/busybox", ["/sbin/udhcpc", "-i", "eth0"], "busybox udhcpc"),
        ("/bin/busybox", ["busybox", "httpd", "-f"], "busybox httpd"),
        # the executable may not be read
        (None, ["postgres: checkpointer "], "postgres"),
        (None, ["postgres: 14/main: autovacuum launcher"], "postgres"),
        (None, ["/usr/sbin/sshd", "-D"], "sshd"),
        (None, ["/usr/bin/python3", "/srv/x.py"], "python3 x.py"),
        (None, ["-bash"], "bash"),
        (None, [], "comm"),
        (None, [""], "comm"),
        ("", ["", "serve"], "comm serve"),
    ],
)  # fmt: skip
def test_the_name_of_a_program(exe: str | None, command: list[str], expected: str) -> None:
    args = tuple(command)
    assert program_of("comm", exe, args) == expected


WORDS = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.binary(max_size=30).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
        st.sampled_from(["-m", "-c", "-jar", "-e", "-X", "--", "-", "", "/", "a" * 5000]),
    ),
    max_size=6,
)
EXES = st.sampled_from([None, "", "/", "/usr/bin/python3", "/bin/sh", "/usr/bin/java", "/bin/busybox", "/x (deleted)"])


@given(WORDS, EXES)
def test_any_arguments_give_a_name_of_bounded_length_that_encodes(args: list[str], exe: str | None) -> None:
    name = program_of("comm", exe, tuple(args))
    assert len(name) <= 120
    as_text(name).encode()


@given(WORDS)
def test_what_follows_the_subcommand_changes_nothing(more: list[str]) -> None:
    usual = ("python3", "/srv/manage.py", "runserver")
    assert program_of("x", "/usr/bin/python3", (*usual, *more)) == "python3 manage.py runserver"


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\n\0"), max_size=60))
def test_any_control_group_gives_a_service(path: str) -> None:
    kind, name = of(f"0::/{path}\n")
    assert name
    assert kind in ServiceKind


@pytest.mark.parametrize(
    ("title", "name"),
    [("worker-3 x", "worker"), ("worker3 x", "worker"), ("a-b x", "a-b"), ("w--3 x", "w-"), ("#3 x", "")],
)
def test_a_title_s_number_is_left_out(title: str, name: str) -> None:
    assert program_of("x", "/usr/bin/python3", (title,)) == f"python3 {name}".rstrip()


def test_a_title_of_digits_takes_no_time() -> None:
    def cost(size: int) -> float:
        began = time.thread_time()
        for _ in range(5):
            program_of("x", "/usr/bin/python3", (f"{'1' * size}a x",))
        return time.thread_time() - began

    assert min(cost(1 << 14) for _ in range(3)) < 9 * min(cost(1 << 12) for _ in range(3)) + 0.005


def test_hostile_bytes_are_spelled_out() -> None:
    hostile = b"x\xff\xfe\n\x1b".decode("utf-8", "surrogateescape")
    assert as_text(program_of(hostile, None, ())) == "x\\xff\\xfe\n\x1b"


def test_the_container_we_run_in_tells_no_two_programs_apart() -> None:
    # GIVEN two containers on a version 1 machine, leakwatch inside the first
    inside = pid_cgroup.parse(f"4:memory:/docker/{ID}\n".encode())
    other = pid_cgroup.parse(f"4:memory:/docker/{ID[::-1]}\n".encode())
    # WHEN a process of each is asked about
    # THEN the one beside us goes by its program, the other by its container
    assert service_of(inside, "prog", "/usr/bin/prog", (), ID) == Service(PROGRAM, "prog")
    assert service_of(other, "prog", "/usr/bin/prog", (), ID) == Service(CONTAINER, ID[::-1][:12])


def test_a_group_with_a_short_number_is_no_container() -> None:
    # GIVEN a memory limit some launcher set on a whole session of programs
    session = pid_cgroup.parse(f"4:memory:/launcher/{ID[:32]}\n1:name=systemd:/\n0::/\n".encode())
    # THEN its programs are told apart
    assert service_of(session, "prog", "/usr/bin/prog", ()) == Service(PROGRAM, "prog")
