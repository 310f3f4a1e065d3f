"""Bugs of call records: seconds, keys and whole records that money depends on."""

from tests.planted.bug import Bug

BUGS = (
    Bug(
        name="last-release-ends",
        lesson="B.r34: the first disc or rel behind the first conn-to, in the order of the list",
        file="telephony/cdr/innovaphone.py",
        before="end = next((event for event in self.events[begin:] if event.msg.startswith(_ENDS)), None)",
        after="end = next((e for e in reversed(self.events[begin:]) if e.msg.startswith(_ENDS)), None)",
        harness="records of the documented shapes",
        test="tests/telephony/cdr/test_innovaphone.py::test_a_disc_ends_as_a_rel_does",
    ),
    Bug(
        name="weak-key-without-content",
        lesson="B.K7: without an id two records may say the same of themselves",
        file="telephony/cdr/innovaphone.py",
        before='return "/".join(parts), f"{leg}/{digest}"',
        after='return "/".join(parts), leg',
        harness="cases of section K",
        test="tests/telephony/cdr/test_innovaphone.py::test_without_an_id_both_are_kept_unless_byte_equal",
    ),
    Bug(
        name="callee-hangs-up-unjoined",
        lesson="tags are swapped in the BYE of the callee: the call never ends",
        file="telephony/cdr/kamailio.py",
        before='tags = sorted((record.get("from_tag"), record.get("to_tag")))',
        after='tags = [record.get("from_tag"), record.get("to_tag")]',
        harness="transactions joined",
        test="tests/telephony/cdr/test_kamailio.py::test_the_callee_hangs_up",
    ),
    Bug(
        name="room-counted-twice",
        lesson="a PBX writes a record for each pair of members: overlapping ones are one line",
        file="telephony/cdr/payer.py",
        before="counted_ms[line] = max(end_ms, counted_ms.get(line, end_ms))",
        after="counted_ms[line] = begin_ms",
        harness="seconds paid beside seconds covered",
        test="tests/telephony/cdr/test_record.py::test_what_is_paid_is_the_time_that_any_record_covers",
    ),
    Bug(
        name="end-split-over-two-packets",
        lesson="a record lost where a packet ends",
        file="telephony/cdr/framing.py",
        before="self._searched = max(0, len(buffer) - self._END_SIZE + 1)",
        after="self._searched = len(buffer)",
        harness="streams split at every byte",
        test="tests/telephony/cdr/test_framing.py::test_split_at_every_byte",
    ),
    Bug(
        name="first-of-two-hours",
        lesson="when clocks go back an hour happens twice: a call of 20 minutes lasts 80",
        file="telephony/cdr/times.py",
        before="    setup, end = min(pairs, key=misfit)\n",
        after="    setup, end = pairs[0]\n",
        harness="local times in the hour that happens twice",
        test="tests/telephony/cdr/test_asterisk.py::test_local_times_in_the_hour_that_happens_twice",
    ),
)
