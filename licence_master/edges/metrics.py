"""/metrics for Prometheus: computed from the installations at each scrape, in a registry of its own."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from licence_master.service.installation import Installation
from licence_master.service.tally import COMMIT_BOUNDS_MS, Tally
from licence_master.service.told import term_views, views

MEDIA_TYPE = CONTENT_TYPE_LATEST


def exposition(installations: Mapping[str, Installation]) -> bytes:
    """All metrics as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(installations))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, installations: Mapping[str, Installation]) -> None:
        self._installations = installations

    def collect(self) -> Iterable[Metric]:
        yield from _gauges(self._installations)
        yield from _terms(self._installations)
        yield from _disk(self._installations)
        tallies = {name: each.writer.tally for name, each in self._installations.items()}
        yield from _counters(tallies)
        yield _commits(tallies)
        yield _call_records(self._installations)


def _gauges(installations: Mapping[str, Installation]) -> Iterator[Metric]:
    pool = GaugeMetricFamily("licence_pool_units", "Units of a pool", labels=["installation", "pool", "of"])
    share = GaugeMetricFamily(
        "licence_share_units", "Units on record", labels=["installation", "pbx", "class", "of"]
    )
    silent = GaugeMetricFamily("licence_agents_silent", "Agents that do not sync", labels=["installation"])
    listening = GaugeMetricFamily(
        "licence_agents_listening", "Agents that a wake reaches at once", labels=["installation"]
    )
    recovering = GaugeMetricFamily(
        "licence_recovering", "1 while nothing new is lent", labels=["installation"]
    )
    for name, each in installations.items():
        for row in views.pools(each.writer.state, each.answers.demands):
            for of in ("installed", "usable", "lent", "used", "free"):
                pool.add_metric([name, row.pool, of], getattr(row, of))
        for entry in views.shares(each):
            for of in ("granted", "used", "surplus", "stranded"):
                share.add_metric([name, entry.pbx, entry.class_, of], getattr(entry, of))
        silent.add_metric([name], len(each.answers.silent()))
        listening.add_metric([name], each.writer.wakes.listening)
        recovering.add_metric([name], float(each.writer.state.recovering))
    yield from (pool, share, silent, listening, recovering)


def _terms(installations: Mapping[str, Installation]) -> Iterator[Metric]:
    left = GaugeMetricFamily(
        "licence_term_days_left", "Days until the next of a kind ends", labels=["installation", "kind"]
    )
    alarms = GaugeMetricFamily(
        "licence_rental_alarm", "1 from 7 weeks before rent runs out", labels=["installation"]
    )
    credit = GaugeMetricFamily("licence_credits", "Balance", labels=["installation", "unit"])
    for name, each in installations.items():
        rows = term_views.terms(each.terms.state, each.terms.today)
        for kind in dict.fromkeys(row.kind for row in rows):
            ahead = [row.days_left for row in rows if row.kind == kind and row.days_left >= 0]
            left.add_metric([name, kind], min(ahead, default=-1))
        alarms.add_metric([name], float(any(row.alarm for row in rows)))
        for unit, balance in (("ssc", each.terms.state.book.ssc), ("isc", each.terms.state.book.isc)):
            credit.add_metric([name, unit], balance)
    yield from (left, alarms, credit)


def _disk(installations: Mapping[str, Installation]) -> Iterator[Metric]:
    """All installations lie on one disk."""
    for each in list(installations.values())[:1]:
        ballast = each.writer.ballast
        yield GaugeMetricFamily("licence_disk_free_bytes", "Free in the data directory", ballast.free_bytes)
        help_ = "0 ample, 1 nothing new is lent, 2 the ballast is freed too"
        yield GaugeMetricFamily("licence_disk_shortage", help_, int(ballast.room))


def _counters(tallies: Mapping[str, Tally]) -> Iterator[Metric]:
    for name, help_, label in (
        ("requests", "Requests of known agents", "path"),
        ("refusals", "Requests refused", "code"),
        ("denials", "Demands that were not met", "code"),
        ("events", "Ledger events", "event"),
    ):
        family = CounterMetricFamily(f"licence_{name}", help_, labels=["installation", label])
        for installation, tally in tallies.items():
            for value, count in getattr(tally, name).items():
                family.add_metric([installation, value], count)
        yield family
    for name, help_ in (("repeats", "Repeats answered from the store"), ("activity", "Events of objects")):
        family = CounterMetricFamily(f"licence_{name}", help_, labels=["installation"])
        for installation, tally in tallies.items():
            family.add_metric([installation], getattr(tally, name))
        yield family


def _call_records(installations: Mapping[str, Installation]) -> Metric:
    labels = ["installation", "verdict"]
    family = CounterMetricFamily("licence_call_records", "Call records that arrived", labels=labels)
    for name, each in installations.items():
        for verdict, count in each.calls.intake.arrived.items():
            family.add_metric([name, verdict], count)
    return family


def _commits(tallies: Mapping[str, Tally]) -> Metric:
    family = HistogramMetricFamily(
        "licence_commit_seconds", "From decision to durable", labels=["installation"]
    )
    for installation, tally in tallies.items():
        total, buckets = 0, []
        for bound, count in zip((*COMMIT_BOUNDS_MS, None), tally.commits, strict=True):
            total += count
            buckets.append((str(bound / 1_000) if bound is not None else "+Inf", float(total)))
        family.add_metric([installation], buckets, tally.commit_ms / 1_000)
    return family
