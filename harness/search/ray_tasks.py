"""Trainings as tasks of a Ray cluster; the only module that imports Ray, so that nothing else needs it.

Ray decides where a task runs, sets aside what it asks for, and runs it once more elsewhere if its process or its
node dies. A task's process ends with it. What is left to be done here: a task is told its device, says how far
it is, and ends as a child does (`harness.search.child`).
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reads these when it is imported: nothing is sent unasked,
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # nor is printed among this program's output what nodes say
os.environ.setdefault("RAY_task_oom_retries", "4")  # by default Ray would start what does not fit for ever
import ray
from ray import cloudpickle
from ray.exceptions import (
    GetTimeoutError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    TaskCancelledError,
    WorkerCrashedError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.cluster_settings import ClusterSettings
from harness.errors import UserError
from harness.isolation import isolate_ultralytics
from harness.measure.environment import device_kind, environment
from harness.measure.exclusive import Machine
from harness.search.child import Report, Say, outcome_of
from harness.search.cluster import (
    Facts,
    Node,
    able,
    asked_resources,
    go_to,
    look_around,
    one_kind,
    several_kinds,
)
from harness.search.outcome import Failure, State

Key = TypeVar("Key")
Result = TypeVar("Result")
_ANSWER_S = 5.0
"""Most seconds that a head may take to answer at all."""
_NODES_S = 300.0
"""Most seconds that a node may take to say what it is; its first task may wait for others' to end."""
_LOOK_S = 0.5
"""Pause between two looks at the cluster."""
_PART_OF_A_GPU = 0.01
"""What asking a node for its GPU's model takes of one."""


class Cluster:
    """A connection to a Ray cluster, until this process ends.

    Args:
        settings: Where it is, and what a training asks for.
        workers: Trainings at once; by default as many as fit on its nodes.

    Attributes:
        device: What a training's device is called: `cpu`, or the first of those that Ray gives it.
        kind: The model of the nodes' GPUs, or `cpu` and the processors'.
        conditions: What a node is and has, for the record.

    Raises:
        UserError: It does not answer, or no node has what a training asks for.
    """

    kind: str
    conditions: dict[str, Any]

    def __init__(self, settings: ClusterSettings, workers: int | None) -> None:
        _connect(settings.address)
        self.asked = asked_resources(settings)
        self.device = "0" if settings.gpus_per_trial else "cpu"
        self._workers = workers
        able(_nodes(), self.asked)
        self._looked = 0.0
        self._room = 1
        self._board: Any = None

    @property
    def workers(self) -> int:
        """Trainings at once: nodes come and go."""
        if self._workers is not None:
            return self._workers
        if time.monotonic() > self._looked + _LOOK_S:
            self._room = max(1, sum(node.fits(self.asked) for node in _nodes()))
            self._looked = time.monotonic()
        return self._room

    def ask_nodes(self, paths: Sequence[Path], folder: Path) -> None:
        """Have each node that can run a training say what it is, before anything is trained.

        Args:
            paths: Files that a training reads.
            folder: The study's; a file is put there for as long as the nodes look for it.

        Raises:
            UserError: They are of several kinds, or differ in what must be the same; or one does not answer.
        """
        mark = folder / f".seen-by-all-{os.getpid()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            mark.touch()
        except OSError as error:
            raise UserError(f"{folder}: cannot be written ({error.strerror}); choose another --results") from error
        try:
            facts = self._facts([*map(str, paths), str(mark)])
        finally:
            mark.unlink(missing_ok=True)
        here = environment(device="cpu", data_fingerprint=None, command=())
        self.kind = one_kind(facts, Facts(node="", kind="", conditions=here).versions)
        self.conditions = {
            **{name: facts[0].conditions[name] for name in ("platform", "packages", "cpu", "device")},
            "nodes": len(facts),
        }

    def executor(self, on_progress: Callable[[Key, Any], None] | None, log: Path | None) -> RayTasks[Key, Result]:
        """What runs trainings on it."""
        if self._board is None:
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            self._board = ray.remote(num_cpus=0, scheduling_strategy=here)(_Board).remote()
        return RayTasks(self, self._board, on_progress, log)

    def __str__(self) -> str:
        nodes = self.conditions["nodes"]
        return f"{nodes} node{'s' * (nodes != 1)} of kind {self.kind}, room for {self.workers} trainings at once"

    def remote(self, function: Callable[..., Any], **options: Any) -> Any:
        """A function as a task that asks for what a training does."""
        others = {name: amount for name, amount in self.asked.items() if name not in {"CPU", "GPU"}}
        asked = {"num_cpus": self.asked["CPU"], "num_gpus": self.asked.get("GPU", 0), "resources": others}
        return ray.remote(**{"max_calls": 1, "max_retries": 1, **asked, **options})(function)

    def _facts(self, paths: Sequence[str]) -> list[Facts]:
        nodes = able(_nodes(), self.asked)
        gpu = _PART_OF_A_GPU if self.device != "cpu" else 0
        asked = [
            self.remote(
                _look_around,
                num_cpus=0,
                num_gpus=gpu,
                resources={},
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.identity, soft=False),
            ).remote(node.name, self.device, str(Path.cwd()), paths)
            for node in nodes
        ]
        facts: list[Facts] = []
        for node, reference in zip(nodes, asked, strict=True):
            try:
                facts.append(ray.get(reference, timeout=_NODES_S))
            except GetTimeoutError as error:
                ray.cancel(reference, force=True)
                raise UserError(f"node {node.name} did not answer within {_NODES_S:.0f} s; is it busy?") from error
            except RayTaskError as error:
                if isinstance(error.cause, ImportError):
                    raise UserError(f"node {node.name} lacks clo-nas or a part of it ({error.cause})") from error
                raise UserError(f"node {node.name} cannot say what it is: {_first_line(error)}") from error
            except RayError as error:
                raise UserError(f"node {node.name} was lost while it was asked what it is; run it again") from error
        return facts


class RayTasks(Generic[Key, Result]):
    """Functions that run as tasks of a cluster; an `Executor`, see `harness.search.executors.Children`.

    Args:
        cluster: Where.
        board: Takes what tasks report.
        on_progress: Called in this process with a task's key and what it reports, the last of a while.
        log: File that takes what tasks print, on a file system that all nodes share.
    """

    def __init__(
        self, cluster: Cluster, board: Any, on_progress: Callable[[Key, Any], None] | None, log: Path | None
    ) -> None:
        self._cluster = cluster
        self._board = board
        self._on_progress = on_progress
        self._log = log
        self._running: dict[Any, Key] = {}
        self._ended: deque[tuple[Key, Result | Failure]] = deque()
        self._machine = Machine()

    @property
    def workers(self) -> int:
        """As many as the cluster has room for now."""
        return self._cluster.workers

    def one_at_a_time(self) -> bool:
        """Other trainings are on other machines, or where Ray found room for them."""
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End all that run, wherever."""
        for reference in self._running:
            with contextlib.suppress(RayError):
                ray.cancel(reference, force=True)
        if self._running:
            with contextlib.suppress(RayError):
                ray.wait([*self._running], num_returns=len(self._running), timeout=_ANSWER_S, fetch_local=False)
        self._running.clear()

    def start(self, key: Key, function: Callable[..., Result], argument: Any) -> None:
        """Run `function(argument, report)` where Ray finds room."""
        order = _Order(
            key=key,
            work=cloudpickle.dumps((function, argument)),
            folder=str(Path.cwd()),
            log=self._log,
            kind=self._cluster.kind,
        )
        task = self._cluster.remote(_run, scheduling_strategy="SPREAD")  # a machine each, while there are enough
        self._running[task.remote(order, self._board)] = key

    def next(self) -> tuple[Key, Result | Failure]:
        """Wait until a task has ended and nobody measures on this machine.

        Raises:
            UserError: A task found an input to be wrong, or the cluster is gone.
            KeyboardInterrupt: Ctrl-C.
        """
        outcome = self.within(None)
        assert outcome is not None, "without a limit something ends"
        return outcome

    def within(self, seconds: float | None) -> tuple[Key, Result | Failure] | None:
        """As `next`; None where no task has ended in so many seconds."""
        until = None if seconds is None else time.monotonic() + seconds
        while not self._ended:
            left = _LOOK_S if until is None else until - time.monotonic()
            if left <= 0:
                return None
            self._look(min(left, _LOOK_S))
        self._machine.wait()
        return self._ended.popleft()

    def ended(self) -> list[tuple[Key, Result | Failure]]:
        """What has ended and was not handed out yet, without waiting."""
        if self._running:
            done, _ = ray.wait([*self._running], num_returns=len(self._running), timeout=0)
            for reference in done:
                with contextlib.suppress(UserError):
                    self._end(reference)
        outcomes = [*self._ended]
        self._ended.clear()
        return outcomes

    def _look(self, seconds: float) -> None:
        if not self._running:
            time.sleep(seconds)
            return
        done, _ = ray.wait([*self._running], timeout=seconds)
        if self._on_progress:
            with contextlib.suppress(RayError):  # a search that is not told how far tasks are goes on
                said = ray.get(self._board.take.remote(), timeout=_ANSWER_S)
                for key, content in said.items():
                    if key in self._running.values():
                        self._on_progress(key, content)
        for reference in done:
            self._end(reference)

    def _end(self, reference: Any) -> None:
        outcome = self._outcome(reference)
        self._ended.append((self._running.pop(reference), outcome))

    def _outcome(self, reference: Any) -> Result | Failure:
        try:
            say, content = ray.get(reference)
        except OutOfMemoryError as error:
            return Failure(state=State.OUT_OF_MEMORY, reason=f"the node ran out of memory: {_first_line(error)}")
        except (WorkerCrashedError, NodeDiedError, ObjectLostError):  # of both attempts: a third would loop
            return Failure(state=State.FAILED, reason="its process or its node died twice; not run again")
        except TaskCancelledError:
            return Failure(state=State.INTERRUPTED, reason="cancelled on the cluster")
        except RayTaskError as error:
            return Failure(state=State.FAILED, reason=_first_line(error.cause or error))
        except RayError as error:
            raise UserError(f"the Ray cluster is gone ({_first_line(error)}); run the same command again") from error
        if say == Say.USER_ERROR:
            raise UserError(content)
        if say == Say.RESULT:
            result: Result = content
            return result
        state, reason = content
        return Failure(state=state, reason=reason)


@dataclass(frozen=True, kw_only=True)
class _Order:
    """What a task is to do.

    Attributes:
        key: Its name.
        work: Function and argument, pickled: reading them imports Ultralytics, which has to be isolated first.
        folder: The search's; relative paths are taken from there.
        log: Takes what is printed.
        kind: Of the device that the study's figures belong to.
    """

    key: Any
    work: bytes
    folder: str
    log: Path | None
    kind: str


class _Board:
    """Where tasks write how far they are: the last word of each, until the search has read it."""

    def __init__(self) -> None:
        self._said: dict[Any, Any] = {}

    def put(self, key: Any, content: Any) -> None:
        self._said[key] = content

    def take(self) -> dict[Any, Any]:
        said, self._said = self._said, {}
        return said


def _run(order: _Order, board: Any) -> tuple[Say, Any]:
    """The inside of a task's process."""
    isolate_ultralytics()
    go_to(order.folder)
    context = ray.get_runtime_context()
    here = ray.util.get_node_ip_address()
    if order.log is not None:
        with contextlib.suppress(OSError):
            file = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(file, 1)
            os.dup2(file, 2)
            what = "a task" if order.key is None else f"training {order.key}"
            os.write(1, f"{what} runs on node {here} ({context.get_node_id()})\n".encode())
    device = ",".join(map(str, range(len(ray.get_gpu_ids())))) or "cpu"  # Ray shows a task no other GPUs
    kind = device_kind(device)
    if kind != order.kind:
        return Say.USER_ERROR, several_kinds({order.kind: ["the others"], kind: [here]})
    told_at, told = 0.0, None

    def tell(content: Any) -> None:
        """Not every step, and without waiting for an answer."""
        nonlocal told_at, told
        phase = getattr(content, "phase", content)
        if phase != told or time.monotonic() > told_at + _LOOK_S:
            told_at, told = time.monotonic(), phase
            with contextlib.suppress(RayError):
                board.put.remote(order.key, content)

    def work(pickled: bytes, report: Report) -> Any:
        function, argument = cloudpickle.loads(pickled)
        return function(_on(device, argument), report)

    return outcome_of(work, order.work, tell)


def _on(device: str, argument: Any) -> Any:
    """An argument, or what it is made of, with the device that Ray gave."""
    if isinstance(argument, tuple):
        return tuple(_on(device, each) for each in argument)
    if not is_dataclass(argument) or isinstance(argument, type):
        return argument
    if hasattr(argument, "device"):
        return replace(argument, device=device)
    if hasattr(argument, "training") and hasattr(argument, "before"):
        return replace(argument, training=_on(device, argument.training), before=_on(device, argument.before))
    return argument


def _look_around(*arguments: Any) -> Facts:
    isolate_ultralytics()
    return look_around(*arguments)


def _nodes() -> list[Node]:
    return [
        Node(identity=node["NodeID"], name=node["NodeManagerAddress"], resources=node["Resources"])
        for node in ray.nodes()
        if node["Alive"]
    ]


def _connect(address: str) -> None:
    """Connect once a process, after a look whether anybody is there: Ray itself would wait for minutes.

    Raises:
        UserError: Nobody answers.
    """
    if ray.is_initialized():
        return
    where = os.environ.get("RAY_ADDRESS", address) if address == "auto" else address
    host, _, port = where.rpartition(":")
    try:
        if host:
            socket.create_connection((host, int(port)), timeout=_ANSWER_S).close()
        ray.init(address=where, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"--address {address}: no Ray cluster answers there ({_first_line(error)}); start one with ray start --head"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
