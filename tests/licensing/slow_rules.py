"""What a scenario must answer, the slow and obvious way: written from docs/licence-rules.md.

It reads a scenario as it stands in the file and counts everything anew for every question. Nothing of
licensing is imported. Assigned licences are in roll_model, which is as independent.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Any

from tests.licensing.roll_model import TYPES, Model, Person

Dict = dict[str, Any]
Key = tuple[str, str]  # pool, place; "" is the master

POOLS = {"Port": "port", "Standby": "standby", "IPVA": "ipva", "Channels": "pbx-channels"}
POOLS |= {"Operator": "operator", "QueueMonitor": "queue-monitor"}
POOLS |= {family: licence for licence, family in TYPES.items()}
RELAY = {"BRIs": "relay-bri", "PRIs": "relay-pri", "Channels": "relay-channel"}
VERBS: tuple[str, ...] = ("register", "unregister", "expire", "install", "remove", "convert", "move")
VERBS += ("join", "leave", "call", "hangup", "login", "logout", "monitor", "unmonitor")
VERBS += ("assign", "unassign", "upgrade", "fail", "recover")
BY_CLIENT = ("operator", "queue-monitor")  # L.r4
INCLUDED = ("IP311", "IP411", "IP511")  # 2
NO_SEAT = ("group", "waiting_queue")  # L.r8


@dataclass
class Row:
    """One installed row: what it is, how many, where."""

    spelling: str
    type: str
    pool: str
    release: int
    tier: int
    cap: int
    place: str
    mac: str
    count: int
    hardware: bool = False
    quarantined: bool = False

    @property
    def idle(self) -> bool:
        """It counts for nothing: no version (L.r2), or at no PBX yet (8.2)."""
        return self.quarantined or self.place == "-"


@dataclass
class Draw:
    """What one registered object has: a key for each family; none while there is no unit for it.

    With `standby` it stands in for one at its own PBX; without a name it is reserved for a failed one.
    """

    pbx: str
    object: str
    keys: list[Key]
    standby: bool = False


@dataclass
class Use:
    """What takes a unit while it goes on: a call, a leg, a login, a watch; no `key`: it needs none."""

    verb: str
    pbx: str
    name: str
    of: str
    key: Key | None
    software: int
    interface: str = ""
    serves: int = 99


@dataclass
class Pbx:
    """A PBX of the file."""

    name: str
    virtual: bool
    cloud: bool
    mac: str
    software: int
    stands_for: str = ""
    model: str = ""
    interfaces: tuple[str, ...] = ()
    reserve: Dict = field(default_factory=dict)


@dataclass
class World:
    """Everything as lists; `draws` in order of arrival."""

    pbxs: dict[str, Pbx]
    master: str
    lenient: bool
    consumer: bool
    kinds: dict[str, str]
    homes: dict[str, str]
    external: dict[str, bool]
    local_first: dict[str, bool]
    rows: list[Row] = field(default_factory=list)
    draws: list[Draw] = field(default_factory=list)
    devices: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)
    rolls: Model = field(default_factory=lambda: Model({}))

    @classmethod
    def of(cls, file: Dict) -> "World":
        settings = file.get("installation", {})
        sw = settings.get("software", 13)
        pbxs = [
            Pbx(
                p["name"],
                p.get("platform") == "ipva",
                p.get("cloud", False),
                plain_mac(p.get("mac")),
                p.get("software", sw),
                p.get("standby_for", ""),
                p.get("model", ""),
                tuple(p.get("interfaces", ())),
                p.get("reserve", {}),
            )
            for p in file["pbxs"]
        ]
        master = next(p["name"] for p in file["pbxs"] if p.get("role") == "master")
        objects = file.get("objects", [])
        return cls(
            {p.name: p for p in pbxs},
            master,
            settings.get("mixed_versions") == "lenient",
            settings.get("ipva_binding") == "consumer",
            {o["name"]: o.get("kind", "user") for o in objects},
            {o["name"]: o.get("pbx", master) for o in objects},
            {o["name"]: o.get("external_videophone", False) for o in objects},
            {o["name"]: o.get("prefer") == "local" for o in objects},
        )

    # Where units lie

    def local(self, pbx: str) -> bool:
        """L.r23: one software unit of its own, whatever it is; never the master, never by Relay units."""
        return pbx != self.master and any(r.place == pbx and not r.hardware and not r.idle for r in self.rows)

    def place(self, pbx: str) -> str:
        return pbx if self.local(pbx) else ""

    def key_of(self, row: Row) -> Key | None:
        """The pool a row feeds (L.r13 for IPVA, 1.4 for Relay)."""
        if row.idle or not row.pool:
            return None
        if row.hardware:
            return row.pool, row.place or self.master
        if row.pool == "ipva" and self.consumer and row.mac:
            return "ipva", next((p.name for p in self.pbxs.values() if p.mac == row.mac), row.place)
        return row.pool, row.place

    def releases(self, key: Key) -> list[int]:
        """One entry for each unit of a pool."""
        return [row.release for row in self.rows if self.key_of(row) == key for _ in range(row.count)]

    def holders(self, key: Key, pbx: str = "") -> list[int]:
        """The software of everyone who has a unit of a pool."""
        mine = [use for use in self.uses if use.key == key and pbx in ("", use.pbx)]
        seats = {(u.verb, u.pbx, u.of, u.name if u.verb != "monitor" else ""): u for u in mine}
        return [self.pbxs[d.pbx].software for d in self.draws if key in d.keys and pbx in ("", d.pbx)] + [
            0 if key[0] in BY_CLIENT else self.pbxs[use.pbx].software for use in seats.values()
        ]

    def usable(self, key: Key, software: int) -> int:
        """L.r5: with software above the lowest release none, else all. L.r6: those that are new enough."""
        releases = self.releases(key)
        if self.lenient:
            return sum(release >= software for release in releases)
        return len(releases) if releases and software <= min(releases) else 0

    def free(self, key: Key, software: int, pbx: str) -> bool:
        """May this PBX take one more, for something that runs this software?"""
        if key == ("standby", "") and not self.standby_on():
            return False
        return self.fits(key, software, self.kept(key, pbx))

    def fits(self, key: Key, software: int, kept: list[int]) -> bool:
        releases, holders = self.releases(key), [*self.holders(key), software, *kept]
        if not self.lenient:
            return self.usable(key, software) > 0 and len(holders) <= len(releases)
        return all(sum(h >= s for h in holders) <= sum(r >= s for r in releases) for s in range(software + 1))

    def kept(self, key: Key, pbx: str) -> list[int]:
        """L.r35: what is kept for others and not theirs yet, one entry of their software for each unit."""
        found: dict[str, int] = {}
        for other in self.pbxs.values() if key[1] == "" else ():
            left = self.worth_for(key, other.software) - sum(found.values())
            if not self.local(other.name):
                found[other.name] = max(0, min(other.reserve.get(key[0], 0), left))
        return [
            self.pbxs[name].software
            for name, units in found.items()
            if name != pbx
            for _ in range(units - len(self.holders(key, name)))
        ]

    def worth_for(self, key: Key, software: int) -> int:
        return 0 if key == ("standby", "") and not self.standby_on() else self.usable(key, software)

    def standby_on(self) -> bool:
        """L.r15."""
        software = self.pbxs[self.master].software
        return self.usable(("standby", ""), software) >= self.usable(("port", ""), software) >= 1

    # Registrations

    def wanted(self, pbx: str, standby: bool) -> list[list[Key]]:
        """The families an object takes at this PBX, each with its pools in order (L.r12, L.r16)."""
        place = self.place(pbx)
        slots = [[("port", place), ("smb-port", place)]]
        if standby:
            slots = [[("standby", "")] if not place else []]
        if self.pbxs[pbx].virtual:
            slots.append([("ipva", pbx if self.consumer else place)])
        return slots

    def stands_in(self, pbx: str, name: str) -> bool:
        """L.r16: its own PBX has failed, and this one stands by for it."""
        home = self.homes[name]
        return home in self.failed and self.pbxs[pbx].stands_for == home

    def register(self, step: Dict) -> str | None:
        name, device = step["register"], step.get("device", "phone")
        pbx = step.get("at") or self.homes[name]
        if pbx in self.failed:
            return "invalid_request"
        had = self.devices.get((pbx, name))
        if had:
            had.add(device)  # L.r9
            return None
        if self.kinds[name] not in NO_SEAT:
            code = self.draw(pbx, name)
            if code:
                return code
        self.devices[pbx, name] = {device}
        return None

    def draw(self, pbx: str, name: str) -> str | None:
        """All families or none; the first that is short gives the code (L.r12)."""
        draw = Draw(pbx, name, [], self.stands_in(pbx, name))
        code = self.fill(draw)
        if code is None:
            self.draws.append(draw)
        return code

    def fill(self, draw: Draw) -> str | None:
        software, keys = self.pbxs[draw.pbx].software, []
        for slot in self.wanted(draw.pbx, draw.standby):
            found = [key for key in slot if self.free(key, software, draw.pbx)]
            if not found:
                return self.shortage(slot, software, draw.pbx)
            keys.append(found[0])
        draw.keys = keys
        return None

    def shortage(self, slot: list[Key], software: int, pbx: str) -> str:
        if not slot:
            return "local_mode"
        key = next((key for key in slot if self.releases(key)), slot[0])
        if key[0] == "standby" and not self.standby_on():
            return "standby_short"
        releases, holders = self.releases(key), self.holders(key)
        if self.fits(key, software, []):
            return "reserved"
        left = len(releases) > len(holders)
        if releases and (self.usable(key, software) == 0 or left):
            return "licence_version_too_low"
        if any(self.kept(each, pbx) for each in slot):
            return "reserved"
        if key[0] == "ipva":
            return "ipva_missing"
        return "local_mode" if key[1] else "no_free_licence"

    def unregister(self, step: Dict) -> str | None:
        name = step.get("unregister") or step["expire"]
        pbx, device = step.get("at") or self.homes[name], step.get("device")
        left = self.devices.get((pbx, name), set()) - {device} if device else set()
        if left:
            self.devices[pbx, name] = left
        elif self.devices.pop((pbx, name), None) and self.kinds[name] not in NO_SEAT:
            self.give_back(pbx, name)
        return None

    def give_back(self, pbx: str, name: str) -> None:
        """Units are not tied to holders: what a PBX has from elsewhere goes back first."""
        gone = next(d for d in self.draws if (d.pbx, d.object) == (pbx, name))
        if pbx in self.failed:
            gone.object = ""  # its unit stays reserved (L.r16)
            return
        self.go(gone)

    def go(self, gone: Draw) -> None:
        self.draws.remove(gone)
        alike = [d for d in self.draws if (d.pbx, d.standby) == (gone.pbx, gone.standby) and d.keys]
        for number, slot in enumerate(self.wanted(gone.pbx, gone.standby) if gone.keys else ()):
            foreign = [d for d in alike if d.keys[number] not in slot]
            if foreign and gone.keys[number] in slot:
                foreign[-1].keys[number] = gone.keys[number]

    def move(self) -> None:
        """L.r23: a PBX that became local, or is local no more, uses the units there as far as they go.

        L.r31: the same where nothing is installed any more of what it has, and something is of its family.
        """
        for draw in self.draws:
            software = self.pbxs[draw.pbx].software
            for number, slot in enumerate(self.wanted(draw.pbx, draw.standby) if draw.keys else ()):
                free = [key for key in slot if self.free(key, software, draw.pbx)]
                if (draw.keys[number] not in slot or not self.releases(draw.keys[number])) and free:
                    draw.keys[number] = free[0]
        for home in self.homes.values():
            if home not in self.failed:
                self.stand_in_anew(home)
        for draw in self.draws:
            if not draw.keys:
                self.fill(draw)
        for use in self.uses:
            self.move_use(use)
            use.serves = min(self.releases(use.key), default=use.serves) if use.key else 99

    def move_use(self, use: Use) -> None:
        """The same for what goes on; Relay-Channels are always those of the box."""
        if use.key and use.key[0] != "relay-channel" and use.key[1] != self.place(use.pbx):
            there = use.key[0], self.place(use.pbx)
            software = 0 if use.key[0] in BY_CLIENT else self.pbxs[use.pbx].software
            if self.free(there, software, use.pbx):
                for seated in [u for u in self.uses if (u.verb, u.of, u.pbx) == (use.verb, use.of, use.pbx)]:
                    seated.key = there if use.verb == "monitor" or seated is use else seated.key

    def fail(self, step: Dict) -> str | None:
        pbx = step["fail"]
        if not any(p.stands_for == pbx for p in self.pbxs.values()):
            return "not_found"
        self.failed.add(pbx)
        self.stand_in_anew(pbx)
        return None

    def recover(self, step: Dict) -> str | None:
        pbx = step["recover"]
        if pbx not in self.failed:
            return "not_found"
        self.failed.remove(pbx)
        for draw in [d for d in self.draws if (d.pbx, d.object) == (pbx, "")]:
            self.go(draw)
        self.stand_in_anew(pbx)
        return None

    def stand_in_anew(self, home: str) -> None:
        """Its objects that are registered elsewhere need another unit; Standby that serves stays."""
        for draw in list(self.draws):
            theirs = draw.object and self.homes[draw.object] == home
            keeps = draw.standby and draw.keys and self.usable(draw.keys[0], self.pbxs[draw.pbx].software)
            stays = keeps or draw.standby == self.stands_in(draw.pbx, draw.object) if theirs else True
            if self.pbxs[draw.pbx].stands_for == home and not stays:
                self.go(draw)
                self.draws.append(Draw(draw.pbx, draw.object, [], self.stands_in(draw.pbx, draw.object)))

    # Calls, conferences, clients

    def call(self, step: Dict) -> str | None:
        """L.r20: is the interface open, has it a channel, and is there a Relay-Channel of this box?"""
        pbx = self.pbxs[self.homes[step["call"]]]
        if self.use("call", step["id"], pbx.name):
            return None
        interface = step.get("interface", "")
        busy = [u for u in self.uses if (u.verb, u.pbx, u.interface) == ("call", pbx.name, interface)]
        channels = self.channels(pbx, interface)
        if interface and not channels:
            return "relay_missing"
        if interface and len(busy) >= channels:
            return "relay_channels_exhausted"
        key = None if pbx.model in INCLUDED else ("relay-channel", pbx.name)
        if key and not self.free(key, pbx.software, pbx.name):
            return "relay_channels_exhausted"
        self.uses.append(Use("call", pbx.name, step["id"], step["call"], key, 0, interface))
        return None

    def channels(self, pbx: Pbx, interface: str) -> int:
        """Units open interfaces in the order of the configuration (L.r20)."""
        kind = interface.rstrip("0123456789")
        needs = pbx.model not in INCLUDED and (kind == "pri" or pbx.model == "IP811")
        alike = [each for each in pbx.interfaces if each.startswith(kind)]
        units = len(self.releases((f"relay-{kind}", pbx.name)))
        opened = not needs or interface in alike[:units]
        return {"bri": 2, "pri": 30}.get(kind, 0) if opened else 0

    def use(self, verb: str, name: str, pbx: str, of: str | None = None) -> Use | None:
        same = [u for u in self.uses if (u.verb, u.name, u.pbx) == (verb, name, pbx) and of in (None, u.of)]
        return same[0] if same else None

    def hangup(self, step: Dict) -> str | None:
        self.uses = [u for u in self.uses if u.verb not in ("call", "leg") or u.name != step["hangup"]]
        return None

    def join(self, step: Dict) -> str | None:
        """L.r24: PBX-Channels, then those of the box; the code is that of the preferred."""
        room, name = step["join"], step["call"]
        pbx = self.pbxs[self.homes[room]]
        if self.use("leg", name, pbx.name, room):
            return None
        ways: list[Key | None] = [("pbx-channels", self.place(pbx.name))]
        ways.append(None if pbx.model in INCLUDED else ("relay-channel", pbx.name))
        for key in ways[::-1] if self.local_first[room] else ways:
            if key is None or self.free(key, pbx.software, pbx.name):
                self.uses.append(Use("leg", pbx.name, name, room, key, 0))
                return None
        if self.local_first[room]:
            return "relay_channels_exhausted"
        return self.shortage([("pbx-channels", self.place(pbx.name))], pbx.software, pbx.name)

    def leave(self, step: Dict) -> str | None:
        leg = self.use("leg", step["call"], self.homes[step["leave"]], step["leave"])
        self.uses = [u for u in self.uses if u is not leg]
        return None

    def login(self, step: Dict) -> str | None:
        """L.r30, L.r4: one for each client, compared with the client."""
        pbx, name = self.pbxs[self.homes[step["user"]]], step["user"] + "/" + step.get("client", "")
        return self.client("login", pbx, name, name, ("operator", self.place(pbx.name)), step)

    def monitor(self, step: Dict) -> str | None:
        """L.r30: one for each queue; two queues for a client; L.r7: the PBX runs 9 or newer."""
        pbx, queue, name = self.pbxs[self.homes[step["monitor"]]], step["monitor"], step["client"]
        others = {u.of for u in self.uses if (u.verb, u.name, u.pbx) == ("monitor", name, pbx.name)} - {queue}
        if len(others) >= 2:
            return "queues_per_client"
        return self.client("monitor", pbx, name, queue, ("queue-monitor", self.place(pbx.name)), step)

    def client(self, verb: str, pbx: Pbx, name: str, of: str, key: Key, step: Dict) -> str | None:
        software = step.get("software") or pbx.software
        known = self.use(verb, name, pbx.name, of)
        seated = [u for u in self.uses if (u.verb, u.of, u.pbx) == (verb, of, pbx.name)]
        key = seated[0].key or key if seated else key
        # An agent compares with what it has, wherever it lies, while any of it is installed there.
        mine = [u for u in self.uses if (u.verb, u.pbx) == (verb, pbx.name)]
        had = [u.serves for u in mine if u.key is not None and self.releases(u.key)]
        if software > min(had or self.releases(key), default=software):
            return "licence_version_too_low"
        if known:
            return None
        if not seated and not self.free(key, 0, pbx.name):
            return self.shortage([key], 0, pbx.name)
        self.uses.append(Use(verb, pbx.name, name, of, key, software))
        return None

    def logout(self, step: Dict) -> str | None:
        login = self.use("login", step["user"] + "/" + step.get("client", ""), self.homes[step["user"]])
        self.uses = [u for u in self.uses if u is not login]
        return None

    def unmonitor(self, step: Dict) -> str | None:
        watch = self.use("monitor", step["client"], self.homes[step["unmonitor"]], step["unmonitor"])
        self.uses = [u for u in self.uses if u is not watch]
        return None

    # Licences

    def install(self, step: Dict) -> str | None:
        row = self.row(step, step["install"])
        if isinstance(row, str):
            return row
        if not row.idle:
            code = self.misplaced(row) or self.excluded(row)
            if code:
                return code
        self.rows.append(row)
        return None

    def row(self, step: Dict, spelling: str) -> Row | str:
        """L.r1, L.r2, L.r14."""
        form = r"(?:(PBX|Relay)-)?([A-Z][A-Za-z]*(?:\([a-z-]+\))?)(\d+)?(%\d+|\$\d+|\$\$)?"
        match = re.fullmatch(form, spelling.replace("\\", "").replace(" ", ""))
        assert match, spelling
        component, family, version, modifier = match.groups()
        hardware = component == "Relay"
        if hardware and version:
            return "invalid_type"
        place = step.get("place") or ""
        if place == self.master:
            place = ""
        if place not in ("", "-") and place not in self.pbxs:
            return "not_found"
        modifier = modifier or ""
        pool = RELAY[family] if hardware else POOLS[family]
        if modifier.startswith("$"):
            pool = "" if modifier == "$$" else "smb-port"
        return Row(
            spelling=spelling,
            type=f"{component or 'PBX'}-{family}{version or ''}{modifier}",
            pool=pool,
            release=999 if hardware else int(version or 0),
            tier=int(modifier[1:]) if modifier.startswith("%") else 0,
            cap=int(modifier[1:]) if modifier.startswith("$") and modifier != "$$" else 0,
            place=place,
            mac=plain_mac(step.get("mac")),
            count=step.get("count", 1),
            hardware=hardware,
            quarantined=not hardware and version is None,
        )

    def misplaced(self, row: Row) -> str | None:
        """L.r13, L.r15, L.r21: where it may lie."""
        box = self.pbxs[row.place or self.master]
        if row.hardware:
            other = row.mac and box.mac and row.mac != box.mac
            no_isdn = box.virtual and row.pool != "relay-channel"
            return "hardware_bound" if box.cloud or other or no_isdn else None
        if row.pool == "standby" and row.place:
            return "master_only"
        if row.pool == "ipva" and row.mac:
            boxes = [p.mac for p in self.pbxs.values()] if self.consumer else [box.mac]
            known = [mac for mac in boxes if mac]
            return "mac_mismatch" if known and row.mac not in known else None
        return None

    def excluded(self, row: Row) -> str | None:
        """L.r17."""
        here = [r for r in self.rows if not r.idle]
        smb = [r for r in here if r.pool == "smb-port"]
        if row.pool in ("port", "standby"):
            return "smb_exclusion" if smb else None
        if row.pool != "smb-port":
            return None
        others = any(r.pool in ("port", "standby") for r in here)
        if others or len(self.pbxs) > 1 or any(r.cap != row.cap for r in smb):
            return "smb_exclusion"
        return "smb_cap" if row.count + sum(r.count for r in smb) > row.cap else None

    def remove(self, step: Dict) -> str | None:
        """L.r21 for Relay units; the newest rows first."""
        asked = self.row(step, step["remove"])
        if isinstance(asked, str):
            return asked
        if asked.hardware and asked.place != "-":
            return "hardware_bound"
        same = [r for r in self.rows if (r.type, r.place) == (asked.type, asked.place)]
        same = [r for r in same if asked.mac in ("", r.mac)]
        if sum(r.count for r in same) < asked.count:
            return "not_found"
        for _ in range(asked.count):
            newest = [r for r in same if r.count][-1]
            newest.count -= 1
        self.rows = [r for r in self.rows if r.count]
        return None

    def convert(self, step: Dict) -> str | None:
        """L.r18: the upgrade units of the lowest release that will do go first, then the oldest."""
        if step["convert"] != "smb-port":
            return "invalid_type"
        old = [row for row in self.rows if row.pool == "smb-port" and not row.idle]
        if not old:
            return "not_found"
        release = max(row.release for row in old)
        upgrades = [r for r in self.rows if r.type.endswith("$$") and not r.idle and r.release >= release]
        needed = sum(row.count for row in old)
        if sum(row.count for row in upgrades) < needed:
            return "conversion_short"
        for _ in range(needed):
            min((row for row in upgrades if row.count), key=lambda row: row.release).count -= 1
        for row in old:
            row.pool, row.cap, row.type = "port", 0, row.type.partition("$")[0]
        for draw in self.draws:
            draw.keys = [
                ("port", place) if pool == "smb-port" else (pool, place) for pool, place in draw.keys
            ]
        self.rows = [row for row in self.rows if row.count]
        return None

    def transfer(self, step: Dict) -> str | None:
        """1.4, L.r21: units go to another place, newest first, all or none."""
        asked = self.row(step, step["move"])
        if isinstance(asked, str):
            return asked
        target = "" if step["to"] == self.master else step["to"]
        if target == asked.place:
            return "invalid_request"
        if asked.hardware and asked.place != "-":
            return "hardware_bound"
        same = [r for r in self.rows if (r.type, r.place) == (asked.type, asked.place)]
        if sum(r.count for r in same) < asked.count:
            return "not_found"
        before, left = [replace(row) for row in self.rows], asked.count
        for row in reversed(same):
            moved = replace(row, place=target, count=min(row.count, left))
            left -= moved.count
            row.count -= moved.count
            self.rows = [r for r in self.rows if r.count]
            code = (self.misplaced(moved) or self.excluded(moved)) if moved.count and not moved.idle else None
            if code:
                self.rows = before
                return code
            self.rows += [moved] if moved.count else []
        return None

    def upgrade(self, step: Dict) -> str | None:
        """Without a name one PBX after the other."""
        for pbx in [step["pbx"]] if step.get("pbx") else list(self.pbxs):
            self.pbxs[pbx].software = step["upgrade"]
            self.settle()
        return None

    # Assigned licences

    def assign(self, step: Dict) -> str | None:
        name, licence = step["assign"], step["licence"]
        person = self.person(name, licence)
        if person is None:
            kind = self.kinds[name]
            users_only = licence != "reporting" and kind not in ("user", "executive")
            if users_only and not (
                licence == "recording" and kind in ("gateway", "waiting_queue", "conference")
            ):
                return "invalid_request"
            waived = self.external[name] and licence == "video"
            person = Person(self.homes[name], name, licence, kind, waived)
            self.rolls.people.append(person)
        self.settle()
        answer = self.rolls.answer(person)
        return None if answer in ("uc", "group") else answer

    def person(self, name: str, licence: str) -> Person | None:
        same = [p for p in self.rolls.people if (p.object, p.licence) == (name, licence)]
        return same[0] if same else None

    def unassign(self, step: Dict) -> str | None:
        name, licence = step["unassign"], step.get("licence")
        left = [p for p in self.rolls.people if p.object != name or licence not in (None, p.licence)]
        if len(left) == len(self.rolls.people):
            return "not_found"
        self.rolls.people = left
        return None

    # All together

    def settle(self) -> None:
        """After any change everyone has what is his."""
        self.move()
        self.rolls.lenient = self.lenient
        self.rolls.software = {p.name: p.software for p in self.pbxs.values()}
        self.rolls.units = [
            (row.pool, row.release, row.place)
            for row in self.rows
            if not row.hardware and not row.idle
            for _ in range(row.count)
        ]
        self.rolls.settle()

    def step(self, step: Dict) -> str | None:
        """Try a step; the code of the refusal, or None."""
        verb = next(verb for verb in VERBS if verb in step)
        code: str | None = getattr(self, {"expire": "unregister", "move": "transfer"}.get(verb, verb))(step)
        self.settle()
        return code

    def pools(self) -> dict[str, tuple[int, int, int]]:
        """Installed, usable for the software of its place, used."""
        used: dict[Key, int] = {}
        for draw in self.draws:
            for key in draw.keys:
                used[key] = used.get(key, 0) + 1
        for person in self.rolls.people:
            if person.holds:
                key = person.licence, self.place(person.pbx)
                used[key] = used.get(key, 0) + 1
        for pool_key in {use.key for use in self.uses if use.key}:
            used[pool_key] = len(self.holders(pool_key))
        for pbx in self.pbxs.values():
            for kind in ("bri", "pri"):
                open_ = [
                    each for each in pbx.interfaces if each.startswith(kind) and self.channels(pbx, each)
                ]
                if pbx.model not in INCLUDED and (kind == "pri" or pbx.model == "IP811") and open_:
                    used[f"relay-{kind}", pbx.name] = len(open_)
        keys = {found for row in self.rows if (found := self.key_of(row))} | used.keys()
        return {name(key): (len(self.releases(key)), self.worth(key), used.get(key, 0)) for key in keys}

    def worth(self, key: Key) -> int:
        if key[0] == "standby" and not self.standby_on():
            return 0
        return self.usable(key, 0 if key[0] in BY_CLIENT else self.pbxs[key[1] or self.master].software)

    def warnings(self) -> list[tuple[str, str, int, int]]:
        """L.r2, L.r19, 8.2: (code, type or pool, tier, have)."""
        found = [("quarantined", row.spelling, 0, 0) for row in self.rows if row.quarantined]
        found += [("unassigned", row.spelling, 0, 0) for row in self.rows if row.place == "-"]
        for pool in ("port", "standby"):
            rows = [row for row in self.rows if not row.idle and row.pool == pool]
            for tier in {row.tier for row in rows}:
                have = sum(row.count for row in rows if row.tier < tier)
                if have < tier:
                    found.append(("tier_base_missing", pool, tier, have))
        return sorted(found)


def name(key: Key) -> str:
    return f"{key[0]}@{key[1]}" if key[1] else key[0]


def plain_mac(text: str | None) -> str:
    return re.sub("[^0-9a-f]", "", (text or "").lower())
