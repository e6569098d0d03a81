"""A training run from its config to its last checkpoint: start or go on, step, log, save, stop cleanly."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import lock, read_json, write_json
from fuselip.core.plugins import load
from fuselip.core.provenance import provenance
from fuselip.model.checkpoints import Network, save_model
from fuselip.model.fuselip import FuseLIP
from fuselip.model.toklip import TokLIP
from fuselip.train.batch import Batch
from fuselip.train.config import Train, changes, from_json, to_json
from fuselip.train.data.frozen import FrozenTokenizer
from fuselip.train.figures import LOSSES, figures
from fuselip.train.gather import Peers, peers_of_environment
from fuselip.train.log import Log
from fuselip.train.start import device_name, device_of, model_of_config
from fuselip.train.state import Saved, load_optimizer, model_of_checkpoint, newest, save_checkpoint
from fuselip.train.step import SAME, SHARES, Report, Stepper
from fuselip.train.teacher import Teacher, teacher_of

RUN_FILE, CHECKPOINTS, MODEL = "run.json", "checkpoints", "model"
Say = Callable[[str], None]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM: the run was saved and goes on with the same command."""


def train(config: Train, out: Path, say: Say = lambda line: None) -> Path:
    """Train into the folder `out`, or go on with the run that is there; the folder of the trained model.

    Called by every process of torchrun. Raises UsageError where `out` holds a run of another config or another number
    of processes; UserError where the loss is no number, the data ends early, or memory does not suffice, each time
    with the last good checkpoint kept; Interrupted after a signal, once the state is saved.
    """
    with ExitStack() as stack:
        peers = stack.enter_context(peers_of_environment())
        say = say if peers.first else lambda line: None
        if peers.first:
            stack.enter_context(lock(out / ".lock", f"another process trains into {out}; wait for it"))
        saved = _begin(config, out, peers, say)
        device = device_of(config)
        model = model_of_checkpoint(saved.folder) if saved else model_of_config(config, say)
        run = _Run(config, out, peers, say, stack)
        try:
            run.train(model, saved, device)
        except (MemoryError, RuntimeError) as error:
            if not _is_memory(error):
                raise
            raise UserError(_memory_advice(config, error)) from error
        return out / MODEL


def _begin(config: Train, out: Path, peers: Peers, say: Say) -> Saved | None:
    """Check or write run.json; the checkpoint to go on from. Its errors are raised in all processes."""
    problem: Exception | None = None
    saved: Saved | None = None
    if peers.first:
        try:
            saved = _open(config, out, peers.world, say)
        except UserError as error:
            problem = error
    problem, saved = peers.tell((problem, saved))
    if problem is not None:
        raise problem
    return saved


def _open(config: Train, out: Path, world: int, say: Say) -> Saved | None:
    path = out / RUN_FILE
    if not path.is_file():
        if out.is_dir() and any(entry.name != ".lock" for entry in out.iterdir()):
            raise UsageError(f"{out} is not empty and holds no run of ours ({RUN_FILE}); choose another --out")
        about = {"config": to_json(config), "world": world, "device": device_name(config), "provenance": provenance()}
        write_json(path, about)
        return None
    value = read_json(path)
    if not isinstance(value, dict) or "config" not in value:
        raise UserError(f"{path} is not what was written; it was edited or is damaged")
    changed = changes(from_json(value["config"], str(path)), config)
    if changed:
        raise UsageError(
            f"{out} holds a run with other settings: {'; '.join(changed)}. Repeat its command to go on with it, or "
            "choose another --out"
        )
    if value.get("world") != world:
        raise UsageError(f"{out} was begun with {value.get('world')} processes, not {world}; batches would differ")
    saved = newest(out / CHECKPOINTS, say)
    if saved:
        say(f"going on after step {saved.step} ({saved.folder})")
    return saved


class _Run:
    def __init__(self, config: Train, out: Path, peers: Peers, say: Say, stack: ExitStack) -> None:
        self.config, self.out, self.peers, self.say, self._stack = config, out, peers, say, stack
        self.saved_at = -1
        self.stop = False
        self.reports: list[Report] = []
        self.since = time.monotonic()

    def train(self, model: Network, saved: Saved | None, device: torch.device) -> None:
        config, peers = self.config, self.peers
        teacher = None
        if isinstance(model, TokLIP) and config.distil.weight:
            teacher = teacher_of(config.distil.teacher, model.config)
        teacher = None if teacher is None else teacher.to(device)
        self.stepper = Stepper(model.to(device), config, peers, device, teacher)
        self.done = self.saved_at = saved.step if saved else 0
        if saved:
            load_optimizer(saved, self.stepper)
        self.log = Log(self.out, config, self.done, self.say) if peers.first else None
        if self.log:
            self._stack.callback(self.log.close)
        self._stack.enter_context(self._signals())
        self.data: Any = None
        stream = _stream(config, model, teacher, peers, saved.data[peers.rank] if saved else None)
        if isinstance(stream, Generator):
            self._stack.callback(stream.close)  # ends its workers
        self.since = time.monotonic()
        batch: Batch | None
        while self.done < config.steps:
            batch, state = next(stream, (None, None))
            counts = peers.counts([len(batch) if batch is not None else 0, batch is None, self.stop])
            self._leave_if(bool(counts[:, 2].any()), bool(counts[:, 1].any()))
            if batch is None or int(counts[:, 0].min()) == 0:
                raise UserError(
                    "a batch without pairs reached a process; a larger batch_size or fewer processes mend it"
                )
            self.reports.append(self.stepper.step(batch, self.done, counts[:, 0].tolist()))
            self.done, self.data = self.done + 1, state
            self._after_step()
        self._finish()

    def _after_step(self) -> None:
        config, done = self.config, self.done
        hook = bool(config.hook.every) and done % config.hook.every == 0
        save = done % config.save_every == 0 or done == config.steps or hook
        if save or done % config.log_every == 0:
            self._flush()
        if save:
            folder = self._save()
            if hook:
                self._measure(folder)

    def _leave_if(self, stopped: bool, exhausted: bool) -> None:
        if not stopped and not exhausted:
            return
        self._flush()
        self._save()
        after = f"after {self.done} of {self.config.steps} steps"
        if stopped:
            self.say(f"stopped {after}; all is saved, the same command goes on")
            raise Interrupted
        raise UserError(
            f"the data ended {after}; what was learned is saved. Give more data, data.repeat or fewer steps"
        )

    def _save(self) -> Path:
        root = self.out / CHECKPOINTS
        if self.saved_at == self.done:
            return root / f"step-{self.done:08d}"
        state = None if self.data is None else self.data.to_json()
        folder = save_checkpoint(root, self.stepper, self.done, state, self.config.keep)
        self.saved_at = self.done
        return folder

    def _flush(self) -> None:
        """Read what the last steps measured: the only place that waits for the device."""
        if not self.reports:
            return
        reports, self.reports = self.reports, []
        shares = self.peers.sum(torch.stack([report.shares for report in reports])).tolist()
        same = torch.stack([report.same for report in reports]).tolist()
        rows = [dict(zip((*SHARES, *SAME), (*a, *b), strict=True)) for a, b in zip(shares, same, strict=True)]
        for report, row in zip(reports, rows, strict=True):
            self._check(report.step, row)
        now = time.monotonic()
        values = figures(rows, now - self.since)
        self.since = now
        if self.log:
            self.log.row(self.done, values)
            self.log.line(self.done, values)

    def _check(self, step: int, row: dict[str, float]) -> None:
        wrong = [name for name in LOSSES if not math.isfinite(row[name])]
        if not math.isfinite(row["grad_norm"]) and self.config.precision != "fp16":  # its scaler passes over those
            wrong.append("grad_norm")
        if wrong:
            raise UserError(
                f"{' and '.join(wrong)} is no number at step {step + 1} (lr {row['lr']:.3g}, scale "
                f"{math.exp(min(row['log_scale'], 99)):.3g}); the last good checkpoint is kept. A lower optim.lr, a "
                "longer optim.warmup or precision fp32 may mend it"
            )

    def _measure(self, folder: Path) -> None:
        problem: UserError | None = None
        if self.peers.first and self.log:
            try:
                found = load(self.config.hook.call)(folder, self.done)
                self.log.row(self.done, {f"hook/{name}": float(value) for name, value in found.items()})
                self.say(f"step {self.done}: " + "  ".join(f"{name} {value:.4g}" for name, value in found.items()))
            except UserError as error:
                problem = error
        problem = self.peers.tell(problem)
        if problem is not None:
            raise problem
        self.since = time.monotonic()

    def _finish(self) -> None:
        self._flush()
        folder = self._save()
        if self.peers.first:
            save_model(model_of_checkpoint(folder), self.out / MODEL)
            self.say(f"done: {self.config.steps} steps, the model is in {self.out / MODEL}")
        self.peers.barrier()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """A signal asks for a stop after the step that is under way; a second Ctrl-C interrupts at once.

        Not so under torchrun, which passes on what it is sent: where its processes were sent the same signal, each
        gets two, and one that left at once would leave the others in the middle of a step, and nothing saved.
        """

        def ask(number: int, frame: FrameType | None) -> None:
            if self.stop and number == signal.SIGINT and self.peers.world == 1:
                raise KeyboardInterrupt
            self.stop = True

        try:
            before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread: there is nobody to interrupt us
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _stream(
    config: Train, model: Network, teacher: Teacher | None, peers: Peers, state: Any
) -> Iterator[tuple[Any, Any]]:
    start = tokenizer = None
    if isinstance(model, FuseLIP | TokLIP) and config.data is not None and config.data.tokens:
        tokenizer = FrozenTokenizer(model, teacher)
    if state is not None:
        start = load(f"{config.batches.partition(':')[0]}:DataState").from_json(state)
    stream: Iterator[tuple[Any, Any]] = iter(
        load(config.batches)(
            config.data,
            model_config=model.config,
            batch_size=config.batch_size,
            seed=config.seed,
            rank=peers.rank,
            world=peers.world,
            state=start,
            tokenizer=tokenizer,
        )
    )
    return stream


def _is_memory(error: BaseException) -> bool:
    told = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in told for words in ("out of memory", "can't allocate memory", "not enough memory")
    )


def _memory_advice(config: Train, error: BaseException) -> str:
    pairs = config.chunk_pairs or config.batch_size
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return (
        f"out of memory with {pairs} pairs at once ({first}). The same batch fits with --set chunk_pairs="
        f"{max(1, pairs // 4)} or checkpointing=true; these change the config, so begin in another --out, or take a "
        "smaller batch_size. The last checkpoint is kept"
    )
