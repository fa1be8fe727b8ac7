"""Composition root of the service: wires collectors, store, analysis and log together and runs them on a schedule.

Contains no rule about leaks. Three jobs: `scrape` samples, feeds the analysis and stores; `evaluate` judges, stores
what changed and tells the log; `purge` keeps the store in its limits. A fatal error in any of them stops the daemon
with its exit code: never up and blind.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from leakwatch import __version__
from leakwatch.analysis.time_plan import plan_of
from leakwatch.clock import Clock, SystemClock, cpu_with_children_s, thread_cpu_ns
from leakwatch.collectors.limits import ProcLimits, slab_aliases_of
from leakwatch.collectors.processes.cost_stats import STATS, Totals
from leakwatch.collectors.scrape import PROCESSES, Scraper, TickClock
from leakwatch.config import Config
from leakwatch.errors import (
    EXIT_NO_RESOURCES,
    EXIT_NOT_SAMPLED,
    EXIT_OK,
    EXIT_SOFTWARE,
    LeakwatchError,
    NoResourcesError,
    ProcUnavailableError,
    StoreBusyError,
    StoreCorruptError,
    StoreWriteError,
)
from leakwatch.model.sample import Scrape
from leakwatch.model.timeline import CLOCK
from leakwatch.model.verdict import Verdict
from leakwatch.monitoring.detector import Detector
from leakwatch.monitoring.evaluation import Evaluation, in_child
from leakwatch.monitoring.evaluation_job import EvaluationJob, EvidenceJob
from leakwatch.monitoring.ownership_log import OwnershipLog
from leakwatch.monitoring.readback import READING, ReadBack, UnseenLog
from leakwatch.monitoring.schedule import Schedule
from leakwatch.monitoring.store_supervisor import StoreSupervisor
from leakwatch.procfs.fs import ProcFS
from leakwatch.system import systemd
from leakwatch.system.journal import DAEMON_FATAL
from leakwatch.system.shortage import MemoryFor, is_shortage
from leakwatch.units import format_duration

FAILURES_ALLOWED = 5
"""Scrapes in a row that may fail to be read: after that the daemon ends, so that its supervisor and its operator see
that nothing is watched. A store that cannot be written ends it at start only, see ``keeping``."""
EVALUATE_INTERVALS = 5
"""Sampling intervals between two evaluations at least, so that judging costs less than sampling."""
EVALUATE_AT_LEAST_S = 5.0
LOOKS_A_WINDOW = 4
"""Looks into the mappings of a suspect within the shortest window: there are several before a leak is confirmed."""
PURGE_INTERVALS = 60
PURGE_AT_LEAST_S = 60.0
"""Sealing and purging start a child: 0.4 s of CPU."""
LOOKS_UP_S = 0.2
JUDGED_AT_STOP_S = 60.0
"""Who judges more often than this watches a test of minutes, and wants its end judged, too."""

_TOO_LITTLE = "too little memory, or no further thread; allow the daemon more (MemoryMax=, TasksMax=, ulimit -v, -u)"

log = logging.getLogger(__name__)


def note_thread_end(ended: threading.ExceptHookArgs) -> None:
    """Say in a line that a thread ended, as APScheduler's own may; ``threading`` itself would write a traceback."""
    name = ended.thread.name if ended.thread is not None else "?"
    log.error("the thread %s ended: %s: %s", name, ended.exc_type.__name__, ended.exc_value)


class Daemon:
    """Runs until ``stop`` or a fatal error."""

    def __init__(self, config: Config, store: Path, proc_root: str = "/proc", clock: Clock | None = None) -> None:
        """Take the store's lock and open it.

        Raises ProcUnavailableError, StoreBusyError, StoreTooNewError or StoreWriteError.
        """
        self._config = config
        self._clock = clock or SystemClock()
        self._schedule = Schedule(self._clock)
        self._evaluating = threading.Lock()
        self._closing = False
        self._exit_code = EXIT_OK
        self._failures = self._judging_failures = 0
        self._ready = False
        self._verdicts: EvaluationJob | None = None
        self._told: Mapping[str, object] = {}
        self._leaks = self._watched = 0
        procfs = ProcFS(proc_root, command_lines=config.privacy.command_lines)
        checkpoint_every_s = config.analysis.windows_s[0] / LOOKS_A_WINDOW
        self._boot_id = boot_id = procfs.boot_id()
        self._scraper = Scraper(procfs, boot_id, config.sampling, checkpoint_every_s)
        self._ticks = TickClock(config.sampling.interval_s, boot_id)
        self._unseen = UnseenLog()
        self._limits, self._aliases = ProcLimits(procfs), slab_aliases_of(procfs)
        self._evidence = EvidenceJob(config, proc_root)
        self._supervisor = StoreSupervisor(store, self._clock, config.sampling.interval_s)
        try:
            self._timeline = self._supervisor.begin_timeline(boot_id)
            self._resume()
        except BaseException:
            self._supervisor.close()
            raise

    def _resume(self) -> None:
        now_ms = self._timeline.now().ts_ms
        try:
            self._past = ReadBack(self._supervisor, self._new_detector, now_ms)
        except StoreCorruptError as error:
            self._supervisor.start_new(error)
            self._past = ReadBack(self._supervisor, self._new_detector, now_ms)
        self._intake = self._past.intake
        self._scraper.spent.totals = Totals.of(self._past.states.get(STATS, {}))
        self._ownership = OwnershipLog(self._past.states, self._boot_id)
        self._scraper.groups.kill_counts = self._ownership.kill_counts
        self._history = threading.Thread(target=self._guarded(self._past.run), name="history", daemon=True)

    def _new_detector(self) -> Detector:
        return Detector(self._config, self._limits, in_child, self._aliases)

    @property
    def evaluate_every_s(self) -> float:
        """Seconds between evaluations: one finest block, less where samples come faster than that needs."""
        interval_s = self._config.sampling.interval_s
        finest = plan_of(self._config.analysis.windows_s, interval_s).base_s
        return min(float(finest), max(EVALUATE_AT_LEAST_S, EVALUATE_INTERVALS * interval_s))

    def stop(self) -> None:
        """Ask for an orderly end; safe in a signal handler."""
        self._schedule.stop()

    def run(self, duration_s: float | None = None) -> int:
        """Run until stopped or for ``duration_s`` seconds; return the exit code."""
        interval_s = self._config.sampling.interval_s
        purge_every_s = max(PURGE_AT_LEAST_S, PURGE_INTERVALS * interval_s)
        self._schedule.add(self._guarded(self._scrape), "scrape", interval_s, "sampling", at_once=True)
        self._schedule.add(self._guarded(self._evaluate), "evaluate", self.evaluate_every_s, "slow")
        self._schedule.add(self._guarded(self._purge), "purge", purge_every_s, "slow", at_once=not self._past.is_new)
        log.info(
            "leakwatch %s: sampling every %s into %s", __version__, format_duration(interval_s), self._supervisor.path
        )
        systemd.set_watchdog_interval(max(5 * interval_s, systemd.watchdog_interval_s() or 0.0))
        if not self._intake.is_open:
            self._past.announce()
            self._history.start()
        self._schedule.run(duration_s)
        if self._schedule.broken and self._exit_code == EXIT_OK:
            self._fail(_TOO_LITTLE, EXIT_NO_RESOURCES)
        while self._history.is_alive() and not self._schedule.stopped:
            self._history.join(LOOKS_UP_S)  # a run of some seconds is to end with verdicts
        systemd.stopping("stopping")
        self._finish()
        if duration_s is not None and not self._ready and self._exit_code == EXIT_OK:
            log.error("no scrape was taken in %s, so nothing was watched; give --for more", format_duration(duration_s))
            return EXIT_NOT_SAMPLED
        return self._exit_code

    def _finish(self) -> None:
        """Judge and store once more, so that a report after the end shows the end; then close."""
        if self._schedule.stopped:
            self._past.end()
            self._evidence.end()  # whoever stops us need not wait for a bundle
        # A stop does not wait for it where the last is minutes old at most and minutes matter little.
        prompt = self.evaluate_every_s < JUDGED_AT_STOP_S or not self._schedule.stopped
        if self._ready and self._exit_code == EXIT_OK and prompt:
            self._guarded(self._evaluate)()
        self._closing = True
        self._past.end()
        self._evidence.end()
        self._supervisor.close()

    def _guarded(self, job: Callable[[], None]) -> Callable[[], None]:
        """Return the job with its boundary: the scheduler swallows what a job raises, so we must not let it."""

        def guarded() -> None:
            try:
                job()
            except LeakwatchError as error:
                self._fail(str(error), error.exit_code)
            except Exception as error:
                if is_shortage(error):
                    self._fail(_TOO_LITTLE, EXIT_NO_RESOURCES)
                    return
                log.debug("traceback", exc_info=True)
                self._fail(
                    f"internal error in {job.__name__.strip('_')}: {type(error).__name__}: {error}", EXIT_SOFTWARE
                )

        return guarded

    def _fail(self, message: str, exit_code: int) -> None:
        self._exit_code = exit_code
        try:
            log.critical("%s; leakwatch stops", message, extra={"message_id": DAEMON_FATAL})
            systemd.status(f"failed: {message}")
        finally:  # there may be too little memory to say it
            self._schedule.stop()

    def _scrape(self) -> None:
        with self._intake.scraping():
            try:
                with MemoryFor("a scrape"):
                    self._scrape_alone()
            except NoResourcesError as error:
                self._count_failure(error)

    def _scrape_alone(self) -> None:
        scrape = self._scraper.scrape(self._ticks.tick(self._timeline.now()))
        self._note_irregular(scrape)
        blocks = self._intake.feed(scrape)
        spent, began_ns = self._scraper.spent, thread_cpu_ns()
        failure = next((o.error for o in scrape.outcomes if o.collector == PROCESSES and o.error), "")
        error: LeakwatchError | None = ProcUnavailableError(failure) if failure else None
        try:
            # What storing costs is in the stats of the next scrape: these are part of what is stored.
            stats = {"at_ms": scrape.tick.ts_ms, "interval_s": self._config.sampling.interval_s, **spent.to_json()}
            whose = self._ownership.take(scrape, self._scraper.groups.kill_counts)
            generation = self._supervisor.generation
            reading = {READING: self._past.reading}
            news = reading if reading != self._told else {}
            states = {STATS: stats, CLOCK: self._timeline.to_json(), **whose, **news, **self._unseen.take(scrape)}
            stored = self._supervisor.write_scrape(scrape, blocks, states)
            self._told = reading if stored else {}
            if not stored or generation != self._supervisor.generation:
                self._ownership.forget_stored()
                self._told = {}
        except (StoreWriteError, StoreBusyError) as problem:
            error = problem
            self._ownership.forget_stored()
        spent.totals.storing_cpu_seconds += (thread_cpu_ns() - began_ns) / 1e9
        if error is not None:
            self._count_failure(error)
            return
        if self._failures:
            log.warning("sampling works again; %d scrapes were lost", self._failures)
        self._failures = 0
        self._tell_systemd(scrape)

    def _count_failure(self, error: LeakwatchError) -> None:
        if self._closing:
            return  # the scrape that was being taken when the end came
        self._failures += 1
        if not self._ready or self._failures >= FAILURES_ALLOWED:
            raise error
        log.error("this scrape is lost (%d of %d before giving up): %s", self._failures, FAILURES_ALLOWED, error)
        systemd.status(f"{self._failures} scrapes lost: {error}")

    def _note_irregular(self, scrape: Scrape) -> None:
        tick = scrape.tick
        if tick.clock_step_ms:
            log.warning("the clock was set by %+.1f s: times are shown by it, trends go on", tick.clock_step_ms / 1000)
        if tick.suspended_ms:
            log.info("the machine slept for %s", format_duration(tick.suspended_ms / 1000))
        if tick.missed:
            log.warning("%d scrapes were missed: the machine or this service was too busy", tick.missed)

    def _tell_systemd(self, scrape: Scrape) -> None:
        processes = sum(o.targets_read for o in scrape.outcomes if o.collector == PROCESSES)
        status = f"watching {processes} processes; {self._leaks} leak, {self._watched} to watch"
        if not self._intake.is_open:
            status = f"watching {processes} processes; reading history back, verdicts follow"
        status += f"; {self._supervisor.trouble}" if self._supervisor.trouble else ""
        if self._ready:
            systemd.status(status)
        else:
            systemd.ready(status)
            self._ready = True
        systemd.watchdog()

    def _evaluate(self) -> None:
        with self._evaluating:  # the last one, at the end, may meet a scheduled one
            if not self._closing and self._intake.is_open:
                self._evaluate_alone()

    def _evaluate_alone(self) -> None:
        began_s = cpu_with_children_s()
        try:
            with MemoryFor("verdicts"):
                self._judge()
        except LeakwatchError as error:
            self._note_unjudged(error)
            return
        finally:
            self._scraper.spent.took("evaluating_cpu_seconds", cpu_with_children_s() - began_s)
        self._judging_failures = 0

    def _judge(self) -> None:
        verdicts = self._verdicts = self._verdicts or self._begin_verdicts()
        evaluation = verdicts.renew(self._timeline.now().ts_ms, self._timeline.stamps)
        self._heed(evaluation)
        if not self._supervisor.trouble:  # else the incidents stay confirmed until they are stored
            self._evidence.gather(self._supervisor.path, verdicts.confirmed, self._clock.now().wall_ms)

    def _begin_verdicts(self) -> EvaluationJob:
        return EvaluationJob(self._config, self._past.detector, self._supervisor, self.evaluate_every_s, self._past)

    def _note_unjudged(self, error: LeakwatchError) -> None:
        """Go on sampling: the report says since when there are no verdicts. The log has it at 1, 2, 4, 8 … in a row."""
        self._judging_failures += 1
        if self._judging_failures & (self._judging_failures - 1) == 0:
            log.error("no verdicts (%d in a row): %s; the next evaluation tries again", self._judging_failures, error)

    def _heed(self, evaluation: Evaluation) -> None:
        """Have the next scrapes look closely at whoever is suspected."""
        self._scraper.want_full(evaluation.fastest_first)
        self._scraper.want_counts(evaluation.counted)
        self._leaks, self._watched = (evaluation.counts[verdict] for verdict in (Verdict.LEAK, Verdict.WATCH))

    def _purge(self) -> None:
        began_s = cpu_with_children_s()
        try:
            with MemoryFor("upkeep of the store"):
                self._supervisor.purge(self._config.store, self._config.sampling.interval_s)
        except NoResourcesError as error:
            log.error("the store is not kept up this time: %s", error)
        self._scraper.spent.took("upkeep_cpu_seconds", cpu_with_children_s() - began_s)
