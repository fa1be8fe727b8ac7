"""Paths of docker, podman, containerd, cri-o and Kubernetes, both drivers, both versions: whose they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from leakwatch.collectors.services.cgroups import owner_of
from leakwatch.collectors.services.containers import ContainerNames, container_of, workload_of
from leakwatch.collectors.services.naming import group_within, service_of
from leakwatch.model.identity import Owner, Service, ServiceKind
from leakwatch.procfs.pid import cgroup as pid_cgroup

if TYPE_CHECKING:
    from pathlib import Path

ID = "3f1c0a9be57d44d2a8d16b0c7e2f9a518b6d0e4c2a7f13905d8e6b4c1f2a3d70"
POD_ID = ID[::-1]
UID = "1ab2c3d4-0e5f-4a6b-8c7d-9e0f1a2b3c4d"
UID_ = UID.replace("-", "_")
HASH = "0123456789abcdef0123456789abcdef"
MANAGER = "/user.slice/user-1000.slice/user@1000.service"


@pytest.mark.parametrize(
    ("path", "engine", "pod", "qos"),
    [
        (f"/docker/{ID}", "docker", "", ""),
        (f"/system.slice/docker-{ID}.scope", "docker", "", ""),
        (f"/docker/{ID}/init.scope", "docker", "", ""),
        (f"/custom-parent/{ID}", "", "", ""),
        # podman: of root and rootless, alone and in a pod, both drivers
        (f"/machine.slice/libpod-{ID}.scope/container", "podman", "", ""),
        (f"/libpod_parent/libpod-{ID}", "podman", "", ""),
        (f"{MANAGER}/user.slice/libpod-{ID}.scope/container", "podman", "", ""),
        (f"/machine.slice/machine-libpod_pod_{POD_ID}.slice/libpod-{ID}.scope", "podman", POD_ID, ""),
        (f"{MANAGER}/user.slice/user-libpod_pod_{POD_ID}.slice/libpod-{ID}.scope/container", "podman", POD_ID, ""),
        (f"/libpod_parent/{POD_ID}/libpod-{ID}", "podman", POD_ID, ""),
        # containerd by itself
        (f"/default/{ID}", "containerd", "", ""),
        (f"/system.slice/nerdctl-{ID}.scope", "containerd", "", ""),
        # Kubernetes: cgroupfs
        (f"/kubepods/pod{UID}/{ID}", "", UID, "guaranteed"),
        (f"/kubepods/burstable/pod{UID}/{ID}", "", UID, "burstable"),
        (f"/kubepods/besteffort/pod{UID}/{ID}", "", UID, "besteffort"),
        (f"/kubepods/burstable/pod{HASH}/{ID}", "", HASH, "burstable"),  # a static pod
        (f"/kubepods/burstable/pod{UID}/crio-{ID}", "cri-o", UID, "burstable"),
        # Kubernetes: systemd
        (f"/kubepods.slice/kubepods-pod{UID_}.slice/cri-containerd-{ID}.scope", "containerd", UID, "guaranteed"),
        (
            f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_}.slice/cri-containerd-{ID}.scope",
            "containerd", UID, "burstable",
        ),
        (
            f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{UID_}.slice/crio-{ID}.scope",
            "cri-o", UID, "besteffort",
        ),
        (
            f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_}.slice/docker-{ID}.scope",
            "docker", UID, "burstable",
        ),
        # containerd told the systemd driver's names while it uses cgroupfs itself
        (
            f"/system.slice/containerd.service/kubepods-burstable-pod{UID_}.slice:cri-containerd:{ID}",
            "containerd", UID, "burstable",
        ),
        # kind: Kubernetes in a docker container
        (
            (f"/docker/{POD_ID}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice"
             f"/kubelet-kubepods-besteffort-pod{UID_}.slice/cri-containerd-{ID}.scope"),
            "containerd", UID, "besteffort",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("version", [1, 2])
def test_whose_a_container_is(path: str, engine: str, pod: str, qos: str, version: int) -> None:
    text = f"0::{path}\n" if version == 2 else f"4:memory:{path}\n1:name=systemd:{path}\n"
    cgroup = pid_cgroup.parse(text.encode())
    owner = owner_of(cgroup, None)
    assert (owner.container, owner.engine, owner.pod, owner.qos) == (ID, engine, pod, qos)
    assert owner.user_slice == ("user-1000.slice" if MANAGER in path else "")
    service = service_of(cgroup, "x", "/x", ())
    assert service == Service(ServiceKind.CONTAINER, ID[:12])
    # Its memory is what the container's own group holds, whatever is below it.
    group = group_within(path, service)
    assert group is not None
    assert path.startswith(group)
    assert ID in group.rpartition("/")[2]


def test_the_container_we_run_in_owns_nothing_apart() -> None:
    cgroup = pid_cgroup.parse(f"0::/system.slice/docker-{ID}.scope\n".encode())
    assert owner_of(cgroup, ID) == Owner()


def test_a_monitor_outside_is_no_container() -> None:
    assert container_of(f"/machine.slice/libpod-conmon-{ID}.scope") is None
    assert container_of(f"/system.slice/web.service/libpod-payload-{ID}") is None


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("web-7d4b9c6f5-x2x9z", "web"),
        ("my-shop-api-5f7d8c9b64-2zrkq", "my-shop-api"),
        ("kube-proxy-x2x9z", "kube-proxy"),
        ("backup-28312345-x2x9z", "backup"),
        ("db-0", "db-0"),  # a StatefulSet's: which one it is lasts
        ("etcd-node1", "etcd-node1"),
        ("kube-apiserver-master", "kube-apiserver-master"),
        ("coredns", "coredns"),
    ],
)
def test_what_a_pod_s_name_keeps(pod: str, workload: str) -> None:
    assert workload_of(pod) == workload


def put(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def named(root: Path, path: str) -> str:
    cgroup = pid_cgroup.parse(f"0::{path}\n".encode())
    return service_of(cgroup, "x", "/x", (), None, ContainerNames(str(root)).name_of).name


def test_docker_s_own_file_names_its_containers(tmp_path: Path) -> None:
    put(tmp_path / f"var/lib/docker/containers/{ID}/config.v2.json", json.dumps({"Name": "/shop-web-1"}))
    assert named(tmp_path, f"/system.slice/docker-{ID}.scope") == "shop-web-1"
    assert named(tmp_path, f"/docker/{ID}/system.slice/cron.service") == "shop-web-1/cron.service"
    assert named(tmp_path, f"/docker/{POD_ID}") == POD_ID[:12]


def test_podman_s_own_file_names_its_containers(tmp_path: Path) -> None:
    rows = [{"id": POD_ID, "names": ["other"]}, {"id": ID, "names": ["web"]}, {"id": 3}, "odd"]
    put(tmp_path / "var/lib/containers/storage/overlay-containers/containers.json", json.dumps(rows))
    assert named(tmp_path, f"/machine.slice/libpod-{ID}.scope/container") == "web"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"Name": 3}', '{"Name": "/"}'])
def test_a_file_that_tells_nothing_leaves_the_id(tmp_path: Path, text: str) -> None:
    put(tmp_path / f"var/lib/docker/containers/{ID}/config.v2.json", text)
    assert named(tmp_path, f"/docker/{ID}") == ID[:12]


def test_in_kubernetes_a_container_made_anew_in_another_pod_is_the_same_service(tmp_path: Path) -> None:
    # GIVEN the kubelet's links for one container of two pods of one Deployment, one after the other
    for pod, id_ in (("web-7d4b9c6f5-x2x9z", ID), ("web-6c8f7d9b55-q7rtz", POD_ID)):
        put(tmp_path / f"var/log/containers/{pod}_shop_app-{id_}.log")
    # THEN both are one service, whatever the driver
    assert named(tmp_path, f"/kubepods/burstable/pod{UID}/{ID}") == "shop/web/app"
    scope = f"kubepods-burstable-pod{UID_}.slice/cri-containerd-{POD_ID}.scope"
    assert named(tmp_path, f"/kubepods.slice/kubepods-burstable.slice/{scope}") == "shop/web/app"
