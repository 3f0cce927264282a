"""What fits on a cluster, on nodes of one kind that see the same: asked before anything is trained there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.common.errors import UserError
from harness.common.machine import environment
from harness.jobs.cluster import Facts, Node, able, asked_resources, look_around, one_kind
from harness.jobs.place import find_place
from harness.record.run_settings import ClusterSettings, ExecutorKind, cluster_settings, parse_resources
from harness.record.settings import search_settings


def node(name: str = "a", /, **resources: float) -> Node:
    return Node(identity=f"id of {name}", name=name, resources=resources)


# --- How many fit ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resources", "asked", "trainings"),
    [
        ({"CPU": 7}, {"CPU": 2}, 3),
        ({"CPU": 8, "GPU": 2}, {"CPU": 1, "GPU": 0.5}, 4),
        ({"CPU": 8, "GPU": 2}, {"CPU": 1, "GPU": 0.4}, 4),  # two on each: no fifth has 0.2 of one and 0.2 of the other
        ({"CPU": 3, "GPU": 2}, {"CPU": 1, "GPU": 0.5}, 3),
        ({"CPU": 8, "GPU": 4}, {"CPU": 1, "GPU": 1}, 4),
        ({"CPU": 10}, {"CPU": 1, "GPU": 1}, 0),
        ({"CPU": 8, "GPU": 9}, {"CPU": 1, "GPU": 4}, 2),
        ({"CPU": 8, "GPU": 3}, {"CPU": 1, "GPU": 4}, 0),  # the fourth of another node does not count
        ({"CPU": 10, "GPU": 1}, {"CPU": 1, "GPU": 0.1}, 10),  # 1 / 0.1 in binary is not to lose one
        ({"CPU": 8, "fast_disk": 1}, {"CPU": 1, "fast_disk": 0.5}, 2),
        ({"CPU": 8}, {"CPU": 1, "fast_disk": 0.5}, 0),
    ],
)
def test_a_node_fits_as_many_trainings_as_its_scarcest_resource(
    resources: dict[str, float], asked: dict[str, float], trainings: int
) -> None:
    assert node("a", **resources).fits(asked) == trainings


def test_what_no_node_has_is_said_beside_what_the_largest_has() -> None:
    nodes = [node("a", CPU=64.0), node("b", CPU=4.0, GPU=2.0)]
    with pytest.raises(UserError) as said:
        able(nodes, {"CPU": 8.0, "GPU": 1.0})
    assert str(said.value) == (
        "--executor ray: a training asks for 8 CPU, 1 GPU, which none of the cluster's 2 nodes has; "
        "the largest, b, has 4 CPU, 2 GPU"
    )


def test_only_nodes_that_fit_a_training_are_asked() -> None:
    nodes = [node("head", CPU=2.0), node("b", CPU=4.0, GPU=2.0)]
    assert [each.name for each in able(nodes, {"CPU": 1.0, "GPU": 1.0})] == ["b"]


def test_a_cluster_without_nodes_is_said_to_be_one() -> None:
    with pytest.raises(UserError, match="no node that is alive"):
        able([], {"CPU": 1.0})


# --- One kind -------------------------------------------------------------------------------------


def facts(name: str, kind: str, **changes: Any) -> Facts:
    conditions = environment(device="cpu", data_fingerprint=None, command=())
    packages = {**conditions["packages"], **changes.pop("packages", {})}
    return Facts(node=name, kind=kind, conditions={**conditions, "packages": packages}, **changes)


@pytest.fixture(scope="module")
def own() -> dict[str, str]:
    return facts("here", "").versions


def test_nodes_of_one_kind_have_it(own: dict[str, str]) -> None:
    assert one_kind([facts("a", "NVIDIA H100"), facts("b", "NVIDIA H100")], own) == "NVIDIA H100"


def test_nodes_of_several_kinds_are_listed_by_kind(own: dict[str, str]) -> None:
    nodes = [facts("a", "NVIDIA H100"), facts("b", "NVIDIA T4"), facts("c", "NVIDIA H100")]
    with pytest.raises(UserError, match=r"NVIDIA H100 \(a, c\); NVIDIA T4 \(b\); choose one kind with --resource"):
        one_kind(nodes, own)


def test_another_version_on_a_node_is_an_error_but_not_a_build_for_another_cuda(own: dict[str, str]) -> None:
    torch = own["torch"]
    assert one_kind([facts("a", "k", packages={"torch": f"{torch}+cu999"})], own) == "k"
    with pytest.raises(UserError, match=rf"node a has torch 1\.0, this machine {torch}: install the same versions"):
        one_kind([facts("a", "k", packages={"torch": "1.0"})], own)


def test_a_path_that_a_node_lacks_is_named(own: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"node a does not see /data/x\.yaml: .* a file system that all nodes share"):
        one_kind([facts("a", "k", unseen=("/data/x.yaml",))], own)


def test_a_node_looks_for_relative_paths_where_the_search_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")  # and back, since the node's process goes to the search's folder
    (tmp_path / "there").touch()
    found = look_around("a", "cpu", str(tmp_path), ["there", "not there"])
    assert found.unseen == ("not there",)
    assert found.kind.startswith("cpu ")


# --- What is asked for ----------------------------------------------------------------------------


def test_resources_are_asked_for_by_rays_names() -> None:
    settings = ClusterSettings(gpus_per_trial=0.5, cpus_per_trial=2, resources={"fast_disk": 0.25})
    assert asked_resources(settings) == {"CPU": 2.0, "GPU": 0.5, "fast_disk": 0.25}
    assert asked_resources(ClusterSettings()) == {"CPU": 1.0}


def test_custom_resources_are_names_with_amounts() -> None:
    assert parse_resources(["fast_disk=1", "accelerator_type:T4=0.001"]) == {
        "fast_disk": 1.0,
        "accelerator_type:T4": 0.001,
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["x"], "--resource x: write NAME=AMOUNT"),
        (["x=0"], "an amount above 0"),
        (["x=-1"], "an amount above 0"),
        (["GPU=1"], "--resource GPU=1: write --gpus-per-trial 1"),
        (["x=1", "x=2"], "x is given twice"),
    ],
)
def test_a_resource_that_cannot_be_meant_is_refused(given: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_resources(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cluster": {"gpus_per_trial": 0.5}}, "--gpus-per-trial: only a Ray cluster has that; add --executor ray"),
        ({"cluster": {"resources": {"x": 1}}}, "--resource: only a Ray cluster has that"),
        ({"executor": "ray", "device": "cpu"}, "--device cpu: Ray assigns devices"),
        ({"executor": "ray", "threads": 2}, "with --executor ray say --cpus-per-trial 2"),
        ({"executor": "slurm"}, "--executor slurm: Input should be 'local' or 'ray'"),
        (
            {"executor": "ray", "batch": 16, "cluster": {"gpus_per_trial": 3}},
            "--gpus-per-trial 3: a short training has one GPU at most; give 1",
        ),
        ({"executor": "ray", "cluster": {"gpus_per_trial": 1.5}}, "--gpus-per-trial 1.5: a training shares one GPU"),
        ({"executor": "ray", "cluster": {"cpus_per_trial": 0}}, "--cpus-per-trial 0: "),
        ({"executor": "ray", "cluster": {"address": "ray://a:1"}}, "--address ray://a:1: the address of a Ray cluster"),
    ],
)
def test_options_that_contradict_each_other_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        search_settings(**given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((None, 2.5, None, None), "--gpus-per-trial 2.5: a training shares one GPU, as with 0.5, or has whole ones"),
        ((None, -1, None, None), "--gpus-per-trial -1: "),
        ((None, None, 0, None), "--cpus-per-trial 0: "),
        (("a", None, None, None), "--address a: the address of a Ray cluster is auto"),
        ((None, None, None, ["x"]), "--resource x: write NAME=AMOUNT"),
    ],
)
def test_what_cannot_be_asked_of_a_cluster_is_refused(given: tuple[Any, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        cluster_settings(*given)


def test_what_is_said_of_a_cluster_is_kept_and_nothing_else() -> None:
    assert cluster_settings(None, None, None, None) is None
    assert cluster_settings("h:1", 4, None, ["x=2"]) == ClusterSettings(
        address="h:1", gpus_per_trial=4, resources={"x": 2}
    )


# --- Ray ------------------------------------------------------------------------------------------


def test_without_ray_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ray_cluster", "ray_inside"):
        monkeypatch.delitem(sys.modules, f"harness.jobs.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"Ray is not installed; pip install 'clo-nas\[ray\]'"):
        find_place(device="auto", workers=None, threads=None, executor=ExecutorKind.RAY)


def test_a_search_on_this_machine_needs_no_cluster() -> None:
    assert find_place(device="cpu", workers=None, threads=None).cluster is None


def test_an_address_where_nobody_answers_is_said_at_once() -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install 'clo-nas[ray]'")
    nobody = ClusterSettings(address="127.0.0.1:1")
    with pytest.raises(UserError, match=r"--address 127\.0\.0\.1:1: no Ray cluster answers there"):
        find_place(device="auto", workers=None, threads=None, executor=ExecutorKind.RAY, cluster=nobody)


@pytest.fixture
def nodes() -> list[Node]:
    return [node("a", CPU=8.0, GPU=2.0, fast_disk=1.0)]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, nodes: list[Node]) -> Callable[..., Any]:
    """A cluster of these nodes that nobody connects to."""
    pytest.importorskip("ray", reason="needs Ray: pip install 'clo-nas[ray]'")
    from harness.jobs import ray_cluster

    monkeypatch.setattr(ray_cluster, "_connect", lambda address: None)
    monkeypatch.setattr(ray_cluster, "_nodes", lambda: nodes)
    monkeypatch.setattr(ray_cluster, "LOOK_S", 0.0)
    return lambda settings, workers=None: ray_cluster.RayCluster(settings, workers)


def test_fractions_and_custom_resources_reach_ray(cluster: Callable[..., Any]) -> None:
    made = cluster(ClusterSettings(gpus_per_trial=0.5, cpus_per_trial=2, resources={"fast_disk": 0.25}))
    task = made.remote(node)
    asked = {name: task._default_options[name] for name in ("num_cpus", "num_gpus", "resources")}
    assert asked == {"num_cpus": 2, "num_gpus": 0.5, "resources": {"fast_disk": 0.25}}


def test_each_task_has_a_process_of_its_own_and_is_run_again_once(cluster: Callable[..., Any]) -> None:
    options = cluster(ClusterSettings()).remote(node)._default_options
    assert (options["max_calls"], options["max_retries"]) == (1, 1)


def test_as_many_trainings_run_as_there_is_room_for_now(cluster: Callable[..., Any], nodes: list[Node]) -> None:
    made = cluster(ClusterSettings(cpus_per_trial=2))
    assert made.workers == 4
    nodes.append(node("b", CPU=3.0))
    assert made.workers == 5
    nodes.clear()
    assert made.workers == 1, "the next one waits for a node"


def test_a_number_of_workers_stays_what_it_is(cluster: Callable[..., Any]) -> None:
    assert cluster(ClusterSettings(), 7).workers == 7


def test_a_training_is_told_the_device_that_ray_gave_it() -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install 'clo-nas[ray]'")
    from harness.jobs.ray_inside import on_device
    from harness.jobs.trial import Job
    from harness.training.accuracy import Schedule, Training

    schedule = Schedule(epochs=1, batch=1, imgsz=64, learning_rate=1e-3)
    training = Training(
        config={}, base_config={}, base_weights=None, layers={}, data="x", classes=1, schedule=schedule,
        seed=0, device="0", threads=1, loader_workers=0,
    )  # fmt: skip
    job = Job(training=training, before=(training,), measure_latency=False, latency_seconds=1.0, latency_threads=1)
    moved = on_device("cpu", job)
    assert (moved.training.device, moved.before[0].device) == ("cpu", "cpu")
    assert on_device("cpu", training).device == "cpu"
    assert on_device("cpu", ("a", 1)) == ("a", 1)


@pytest.mark.parametrize(
    ("given", "device"), [([], "cpu"), ([3], "0"), ([2, 5], "0,1"), (["MIG-a", "MIG-b", "MIG-c"], "0,1,2")]
)
def test_gpus_are_counted_from_0_since_a_task_sees_no_others(
    monkeypatch: pytest.MonkeyPatch, given: list[int | str], device: str
) -> None:
    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'clo-nas[ray]'")
    from harness.jobs.ray_inside import own_device

    monkeypatch.setattr(ray, "get_gpu_ids", lambda: given)
    assert own_device() == device


@pytest.mark.parametrize(
    ("device", "cores", "threads"), [("0,1,2,3", 32.0, "8"), ("0,1", 1.0, "1"), ("0", 32.0, "32"), ("cpu", 32.0, "32")]
)
def test_the_processes_of_a_training_on_several_gpus_divide_its_cores(
    monkeypatch: pytest.MonkeyPatch, device: str, cores: float, threads: str
) -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install 'clo-nas[ray]'")
    from harness.jobs.ray_inside import divide_cores

    monkeypatch.setenv("OMP_NUM_THREADS", "32")  # as Ray does, in a task of so many cores
    divide_cores(device, cores)
    assert os.environ["OMP_NUM_THREADS"] == threads


@pytest.mark.parametrize(("gpus", "device"), [(0, "cpu"), (0.5, "0"), (1, "0"), (4, "0,1,2,3")])
def test_a_training_is_called_by_as_many_devices_as_it_asks_for(
    cluster: Callable[..., Any], nodes: list[Node], gpus: float, device: str
) -> None:
    nodes.append(node("large", CPU=8.0, GPU=8.0))
    made = cluster(ClusterSettings(gpus_per_trial=gpus))
    assert made.device == device
    assert made.remote(node)._default_options["num_gpus"] == gpus


def test_several_gpus_have_to_be_one_nodes(cluster: Callable[..., Any], nodes: list[Node]) -> None:
    nodes.append(node("b", CPU=8.0, GPU=3.0))
    with pytest.raises(UserError, match="asks for 1 CPU, 4 GPU, which none of the cluster's 2 nodes has"):
        cluster(ClusterSettings(gpus_per_trial=4))


def test_a_node_is_looked_at_by_its_first_gpu_however_many_a_training_takes(
    cluster: Callable[..., Any], nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that asked for all of them would wait for trainings to end."""
    made = cluster(ClusterSettings(gpus_per_trial=2))
    asked: list[tuple[float, str]] = []

    def remote(_function: object, **options: Any) -> Any:
        return SimpleNamespace(remote=lambda _name, device, *_: asked.append((options["num_gpus"], device)))

    nodes[:] = [Node(identity="ab" * 28, name="a", resources={"CPU": 8.0, "GPU": 2.0})]
    monkeypatch.setattr(made, "remote", remote)
    monkeypatch.setattr("ray.get", lambda *_, **__: facts("a", "NVIDIA H100"))
    assert [each.kind for each in made._facts([])] == ["NVIDIA H100"]
    assert asked == [(0.01, "0")]


def test_ultralytics_too_counts_the_gpus_that_a_task_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a training would take the node's first GPUs, which are another's; its ranks inherit the variable."""
    import torch
    from ultralytics.utils import torch_utils

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch_utils, "get_gpu_info", lambda index: f"GPU {index}")
    assert str(torch_utils.select_device("0,1", verbose=False)) == "cuda:0"
    assert torch_utils.parse_device("0,1") == "0,1"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2,3"
