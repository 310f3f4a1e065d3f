"""What the seeded simulation of the services must catch."""

from tests.planted.bug import Bug

BUGS = (
    Bug(
        name="check-then-act",
        lesson="check, then act",
        file="licence_master/service/answers.py",
        before="        outcome = allocator.sync(\n            self._writer.state,\n",
        after=(
            "        state = self._writer.state\n"
            "        await self._writer.settled()\n"
            "        outcome = allocator.sync(\n            state,\n"
        ),
        harness="seeded simulation",
        test="tests/simulation/test_services.py::test_every_seed_holds[1]",
    ),
    Bug(
        name="answered-before-commit",
        lesson="durability below promise",
        file="licence_master/service/answers.py",
        before="        await self._writer.commit(outcome.state, outcome.events,",
        after="        self._writer.commit(outcome.state, outcome.events,",
        harness="seeded simulation",
        test="tests/simulation/test_services.py::test_every_seed_holds[0]",
    ),
    Bug(
        name="repeat-answered-before-durable",
        lesson="reply after durable: idempotent repeats",
        file="licence_master/service/answers.py",
        before="            kept = self._kept[request.agent]\n            await self._writer.settled()\n",
        after="            kept = self._kept[request.agent]\n",
        harness="seeded simulation",
        test="tests/simulation/test_services.py::test_every_seed_holds[0]",
    ),
    Bug(
        name="denial-answered-before-durable",
        lesson="reply after durable: denials",
        file="licence_master/service/answers.py",
        before="        await self._writer.commit(outcome.state, outcome.events,",
        after=(
            "        if outcome.denials:\n"
            '            self._writer.commit(outcome.state, outcome.events, f"agent:{agent}", statements)\n'
            "            return Reply(kept.status, kept.body, kept.signature)\n"
            "        await self._writer.commit(outcome.state, outcome.events,"
        ),
        harness="seeded simulation",
        test="tests/simulation/test_services.py::test_every_seed_holds[0]",
    ),
    Bug(
        name="refresh-revives-the-dead",
        lesson="renewal revives the dead",
        file="telephony/binding.py",
        before="if not self._ends or self._ends[0][0] > now_ms:",
        after="if not self._ends or self._ends[0][0] >= now_ms:",
        harness="seeded simulation",
        test="tests/simulation/test_services.py::test_every_seed_holds[0]",
        more=(("telephony/binding.py", "and end <= now_ms:", "and end < now_ms:"),),
    ),
    Bug(
        name="dead-seats-count",
        lesson="dead seats",
        file="telephony/registration.py",
        before="self._release_if_gone(before.name, now_ms)\n        return outputs\n\n    def handle_timers",
        after="pass\n        return outputs\n\n    def handle_timers",
        harness="seeded simulation",
        test="tests/simulation/test_services.py::test_every_seed_holds[0]",
    ),
    Bug(
        name="audit-apart-from-the-change",
        lesson="audit after commit, failure only logged",
        file="licence_master/service/writer.py",
        before="        future = self._commits.defer([*ledger.append(entries), *statements])\n",
        after=(
            "        future = self._commits.defer(statements)\n"
            "        future.add_done_callback(lambda _: self._commits.defer(ledger.append(entries)))\n"
        ),
        harness="seeded simulation",
        test="tests/simulation/test_services.py::test_every_seed_holds[0]",
    ),
    Bug(
        name="spare-returned-in-doubt",
        lesson="safety rule 4",
        file="licensing/site/want.py",
        before="return max(want, self.floor)",
        after="return want",
        harness="seeded simulation",
        test="tests/simulation/test_services.py::test_every_seed_holds[0]",
    ),
    Bug(
        name="share-used-before-durable",
        lesson="safety rule 2",
        file="agent/service/sync.py",
        before="                await self._keep(record)\n                self._applied(answer, at_ms)\n",
        after=(
            "                self.record = record\n"
            "                self._applied(answer, at_ms)\n"
            "                await self._keep(record)\n"
        ),
        harness="seeded simulation",
        test="tests/simulation/test_services.py::test_every_seed_holds[0]",
    ),
    Bug(
        name="history-before-the-binding",
        lesson="history that a crash undid: a holder for ever at the master",
        file="agent/service/outbound.py",
        before="        if self._noting:\n            self._behind.append",
        after="        if not self:\n            self._behind.append",
        harness="seeded simulation",
        test="tests/simulation/test_services.py::test_a_pbx_that_trusts_makes_no_history_before_its_bindings",
    ),
    Bug(
        name="refresh-under-way-is-nobodys",
        lesson="a PBX grants what nobody counts",
        file="telephony/registration.py",
        before="        if relay.matter.opening and self.bindings.outlast",
        after="        if not relay and self.bindings.outlast",
        harness="stateful property test of the guard",
        test="tests/telephony/test_guard_machine.py",
    ),
    Bug(
        name="kept-as-long-as-its-refresh-might-be",
        lesson="a binding longer than the PBX said",
        file="telephony/binding.py",
        before="            self._note_end(aor, self._end(registration))\n",
        after="            assert registration.aor == aor\n",
        harness="seeded simulation",
        test="tests/simulation/test_services.py::test_every_seed_holds[0]",
    ),
    Bug(
        name="phone-told-before-durable",
        lesson="durability below promise",
        file="agent/service/outbound.py",
        before="                self._recording = stored\n",
        after="",
        harness="seeded simulation",
        test="tests/simulation/test_services.py::test_every_seed_holds[0]",
    ),
    Bug(
        name="history-told-twice",
        lesson="history has holes",
        file="licence_master/service/past/history.py",
        before="if event.n > before]",
        after="]",
        harness="seeded simulation",
        test="tests/simulation/test_services.py::test_every_seed_holds[0]",
    ),
    Bug(
        name="phone-waits-for-ever",
        lesson="every demand met or refused",
        file="licensing/site/waiting.py",
        before="        if seat.until_ms > now_ms:\n            break\n",
        after="        break\n",
        harness="seeded simulation",
        test="tests/simulation/test_services.py::test_every_seed_holds[0]",
    ),
    Bug(
        name="commit-error-survived",
        lesson="step down on a commit error",
        file="runtime/store.py",
        before="        except (sqlite3.Error, OSError) as error:\n            self._failure = ",
        after="        except EOFError as error:\n            self._failure = ",
        harness="seeded simulation",
        test="tests/simulation/test_services.py::test_every_seed_holds[0]",
    ),
)
