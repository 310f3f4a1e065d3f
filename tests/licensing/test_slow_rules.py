"""The live rules and a second, slow implementation answer any scenario alike: codes, pools and warnings.

10,000 scenarios with CHAOS=1, other ones each time; a failure prints its seed and the shortest scenario that
shows it. SEED=… RUNS=1 before the command replays one.
"""

import os
import random
from collections import Counter
from typing import Any

import pytest
import yaml

from licence_master.edges.scenario_file import ScenarioFile
from licensing.scenario.play import play
from tests.licensing.house import CATALOGUE
from tests.licensing.roll_model import TYPES
from tests.licensing.slow_rules import VERBS, World
from tests.machine import CHAOS

Dict = dict[str, Any]

RUNS = int(os.environ.get("RUNS", 10_000 if CHAOS else 450))
FIRST = int(os.environ.get("SEED") or (random.SystemRandom().randrange(2**32) if CHAOS else 0))

RELEASES = (9, 11, 12, 13)
MACS = {"hq": "00-90-33-01-02-03", "lyon": "00-90-33-0a-0b-0c", "nice": "0090330D0E0F"}
OBJECTS = {
    "anna": "user",
    "bert": "user",
    "carl": "user",
    "dora": "executive",
    "11": "group",
    "q1": "waiting_queue",
    "trunk": "trunk",
}
ROOMS = {"room1": "conference", "room2": "conference", "gw1": "gateway", "gw2": "gateway"}
QUEUES = {"q1": "waiting_queue", "q2": "waiting_queue", "q3": "waiting_queue"}
BUNDLED = ("UC", "App(phone)", "App(softphone)", "Video", "VoicemailUser")
THEMES = {
    "port": ("PBX-Port{}", "PBX-Port{}", "Port {}%500", "PBX-Port{}%1000", "PBX-Fax{}"),
    "ipva": ("PBX-Port{}", "PBX-Port{}", "PBX-IPVA{}", "PBX-IPVA{}", "PBX-IPVA{}"),
    "smb": ("Port{}\\$20", "PBX-Port{}$20", "PBX-Port{}$30", "PBX-Port{}$$", "PBX-Port{}", "PBX-IPVA{}"),
    "standby": ("PBX-Port{}", "PBX-Port{}", "PBX-Standby{}", "PBX-Standby{}", "PBX-Standby{}%500"),
    "bundle": tuple(f"PBX-{family}{{}}" for family in (*BUNDLED, *BUNDLED, "Fax", "Reporting")),
    "named": tuple(f"PBX-{family}{{}}" for family in TYPES.values()),
    "calls": (
        "PBX-Channels{}",
        "PBX-Channels{}",
        "Relay-Channels",
        "Relay-Channels",
        "Relay-PRIs",
        "Relay-BRIs",
    ),
    "clients": ("PBX-Operator{}", "PBX-QueueMonitor{}"),
    "odd": ("Port", "App(phone)", "Relay-Channels", "Relay-PRIs", "Relay-BRIs{}", "PBX-Channels{}", "Port{}"),
}
PREFER = ("local", "central")
CALLS = ("c1", "c2", "c3", "c4", "c5")
NAMED = {"bundle": ("uc", "app-phone", "app-softphone", "video", "voicemail-user", "fax", "reporting")}


class Author:
    """A random installation that is stocked, then used; its theme lets licences, objects and steps meet."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.theme = self.one(*THEMES, "standby", "calls", "clients")
        few = {"smb": (1,), "standby": (3,)}.get(self.theme, (1, 2, 2, 3))
        self.names = tuple(MACS)[: self.one(*few)]
        self.releases = self.random.sample(RELEASES, self.one(1, 2, 2, 3))  # few, so that they meet
        self.other = self.one(False, False, True)
        self.people = self.theme in ("bundle", "named")

    def one(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def file(self) -> Dict:
        stock = [self.install() for _ in range(self.one(2, 3, 4, 5))]
        return {
            "installation": {
                "mixed_versions": self.one("strict", "lenient"),
                "ipva_binding": self.one("holder", "holder", "consumer"),
            },
            "pbxs": [self.pbx(name) for name in self.names],
            "objects": [
                {
                    "name": name,
                    "kind": kind,
                    "pbx": self.one(*self.names),
                    "external_videophone": name == "anna",
                }
                for name, kind in OBJECTS.items()
            ]
            + [
                {
                    "name": name,
                    "kind": kind,
                    "pbx": self.one(*self.names),
                    "prefer": self.one("local", "central"),
                }
                for name, kind in (ROOMS | QUEUES).items()
                if name not in OBJECTS
            ],
            "steps": [*stock, *(self.step() for _ in range(self.one(5, 10, 15, 20)))],
        }

    def pbx(self, name: str) -> Dict:
        return {
            "name": name,
            "role": "master" if name == "hq" else "slave",
            "platform": self.one("gateway", "ipva", "ipva" if self.theme == "ipva" else "gateway"),
            "mac": MACS[name],
            "software": self.one(*self.releases, min(self.releases), *RELEASES[1:]),
            "cloud": name == "nice" and self.theme == "odd",
            "model": self.one("IP811", "IP3011", "IP411"),
            "interfaces": [["pri1"], ["bri1", "bri2", "pri1", "pri2"]][self.one(0, 1)],
            **({"reserve": self.reserve()} if self.random.random() < 0.25 else {}),
            **({"standby_for": "hq" if self.other else "lyon"} if name == "nice" else {}),
        }

    def reserve(self) -> Dict:
        pools = {
            "port": self.one(1, 2),
            "ipva": self.one(1, 2),
            "standby": 1,
            "operator": 1,
            "pbx-channels": 1,
        }
        return {pool: units for pool, units in pools.items() if self.random.random() < 0.4}

    def type(self) -> str:
        return str(self.one(*THEMES[self.theme])).format(self.one(*self.releases))

    def place(self) -> Dict:
        where = self.random.random()
        found: Dict = {} if where < 0.7 else {"place": "-" if where > 0.97 else self.one(*self.names)}
        return found | ({"mac": self.one(*MACS.values())} if self.random.random() < 0.15 else {})

    def at(self) -> Dict:
        return {"at": self.one(*self.names)} if self.random.random() < 0.3 else {}

    def install(self) -> Dict:
        return {"install": self.type(), "count": self.one(1, 1, 2, 3), **self.place()}

    def step(self) -> Dict:
        floating = ("register", "register", "register", "register", "unregister", "expire")
        named = ("assign", "assign", "assign", "assign", "unassign")
        verbs = [*named, *named, "register"] if self.people else [*floating, *floating, "assign"]
        verbs += {"standby": ["fail", "recover"] * 2, "smb": ["convert"] * 2}.get(self.theme, [])
        verbs = {
            "calls": [*["call", "join", "join"] * 4, *["hangup", "leave", "leave"] * 2],
            "clients": [*["login", "monitor", "monitor"] * 4, *["logout", "unmonitor"] * 2],
        }.get(self.theme, verbs)
        return getattr(self, self.one(*verbs, "install", "remove", "upgrade", "device", "move"))()  # type: ignore[no-any-return]

    def call(self) -> Dict:
        line = {"interface": self.one("bri1", "bri1", "bri2", "pri1", "pri2")} if self.one(0, 1, 1) else {}
        return {"call": self.one("gw1", "gw2"), "id": self.one(*CALLS), **line}

    def hangup(self) -> Dict:
        return {"hangup": self.one(*CALLS)}

    def join(self) -> Dict:
        return {"join": self.one("room1", "room2"), "call": self.one(*CALLS)}

    def leave(self) -> Dict:
        return {"leave": self.one("room1", "room2"), "call": self.one(*CALLS)}

    def login(self) -> Dict:
        return {"login": "operator", "user": self.one("anna", "bert", "carl"), **self.release()}

    def release(self) -> Dict:
        return {"software": self.one(*self.releases, *RELEASES)} if self.one(0, 1, 1) else {}

    def logout(self) -> Dict:
        return {"logout": "operator", "user": self.one("anna", "bert", "carl")}

    def monitor(self) -> Dict:
        return {"monitor": self.one(*QUEUES), "client": self.one("pc1", "pc2"), **self.release()}

    def unmonitor(self) -> Dict:
        return {"unmonitor": self.one(*QUEUES), "client": self.one("pc1", "pc2")}

    def fail(self) -> Dict:
        return {"fail": self.one("hq" if self.other else "lyon", self.one(*self.names))}

    def recover(self) -> Dict:
        return {"recover": self.one("hq" if self.other else "lyon", self.one(*self.names))}

    def convert(self) -> Dict:
        return {"convert": self.one("smb-port", "smb-port", "smb-port", "port")}

    def move(self) -> Dict:
        where = {"place": self.one(*self.names, "-")} if self.random.random() < 0.4 else {}
        return {"move": self.type(), "count": self.one(1, 1, 2), "to": self.one(*self.names), **where}

    def register(self) -> Dict:
        return {"register": self.one(*OBJECTS), **self.at()}

    def device(self) -> Dict:
        verb = self.one("register", "unregister")
        return {verb: self.one(*OBJECTS), "device": self.one("desk", "dect"), **self.at()}

    def unregister(self) -> Dict:
        return {"unregister": self.one(*OBJECTS), **self.at()}

    def expire(self) -> Dict:
        return {"expire": self.one(*OBJECTS), **self.at()}

    def remove(self) -> Dict:
        return {"remove": self.type(), "count": self.one(1, 1, 2), **self.place()}

    def assign(self) -> Dict:
        return {"assign": self.one(*OBJECTS), "licence": self.one(*NAMED.get(self.theme, tuple(TYPES)))}

    def unassign(self) -> Dict:
        whole = self.random.random() < 0.3
        licence = {} if whole else {"licence": self.assign()["licence"]}
        return {"unassign": self.one(*OBJECTS), **licence}

    def upgrade(self) -> Dict:
        return {"upgrade": self.one(*RELEASES)} | ({"pbx": self.one(*self.names)} if self.one(0, 1) else {})


def live(file: Dict) -> list[Any]:
    """What the product answers."""
    found = play(ScenarioFile.model_validate(as_read(file)).scenario, CATALOGUE)
    pools = {name: (pool.installed, pool.usable, pool.used) for name, pool in found.pools.items()}
    told = [
        (each["code"], each.get("type", each.get("pool")), each.get("tier", 0), each.get("have", 0))
        for each in found.warnings
    ]
    return [[each.code for each in found.steps], pools, sorted(told)]


def slow(file: Dict) -> list[Any]:
    """What the second implementation answers."""
    world = World.of(file)
    return [[world.step(step) for step in file["steps"]], world.pools(), world.warnings()]


def smallest(file: Dict) -> Dict:
    """The same difference with as few steps as that takes."""
    number = 0
    while number < len(file["steps"]):
        steps = [step for n, step in enumerate(file["steps"]) if n != number]
        if live({**file, "steps": steps}) != slow({**file, "steps": steps}):
            file = {**file, "steps": steps}
        else:
            number += 1
    return file


def as_read(value: Any) -> Any:
    """As a file is read: lists are tuples."""
    if isinstance(value, dict):
        return {key: as_read(each) for key, each in value.items()}
    return tuple(as_read(each) for each in value) if isinstance(value, list) else value


def test_a_slow_second_implementation_answers_the_same() -> None:
    answers: Counter[tuple[str, str | None]] = Counter()
    for seed in range(FIRST, FIRST + RUNS):
        file = Author(seed).file()
        found, expected = live(file), slow(file)
        if found != expected:
            least = smallest(file)
            told = yaml.safe_dump(least, sort_keys=False, default_flow_style=None)
            pytest.fail(f"seed {seed}\n{told}\nlive {live(least)}\nslow {slow(least)}")
        answers.update(
            (next(verb for verb in VERBS if verb in step), code)
            for step, code in zip(file["steps"], expected[0], strict=True)
        )
    rare = [answer for answer in MUST_OCCUR if not answers[answer] and RUNS >= 450]
    assert not rare, f"{RUNS} scenarios never ask for {rare}: {answers}"


MUST_OCCUR = (
    ("register", None),
    ("register", "no_free_licence"),
    ("register", "licence_version_too_low"),
    ("register", "ipva_missing"),
    ("register", "local_mode"),
    ("install", "smb_exclusion"),
    ("install", "mac_mismatch"),
    ("install", "master_only"),
    ("install", "hardware_bound"),
    ("install", "invalid_type"),
    ("register", "reserved"),
    ("convert", None),
    ("convert", "conversion_short"),
    ("move", None),
    ("move", "master_only"),
    ("fail", None),
    ("call", "relay_missing"),
    ("call", "relay_channels_exhausted"),
    ("join", None),
    ("join", "no_free_licence"),
    ("join", "relay_channels_exhausted"),
    ("login", None),
    ("login", "licence_version_too_low"),
    ("monitor", "no_free_licence"),
    ("monitor", "queues_per_client"),
    ("recover", None),
    ("remove", "hardware_bound"),
    ("remove", "not_found"),
    ("assign", None),
    ("assign", "not_licensed"),
    ("assign", "licence_version_too_low"),
    ("assign", "requires_licence"),
    ("assign", "min_software"),
    ("unassign", "not_found"),
)
"""Each must be asked for, or the comparison proves little."""
