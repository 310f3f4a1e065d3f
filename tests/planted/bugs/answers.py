"""What the tests of snapshots, peaks and reservations must catch."""

from tests.planted.bug import Bug

BUGS = (
    Bug(
        name="snapshot-believed-unseen",
        lesson="a copy is checked before it is believed",
        file="licence_master/store/snapshot.py",
        before="    if state.position != position or digest(state, head) != kept:\n",
        after="    if state.position != position:\n",
        harness="stores with a damaged snapshot",
        test="tests/licence_master/test_snapshots.py::test_a_snapshot_that_does_not_fit_is_not_believed[body]",
    ),
    Bug(
        name="snapshot-loses-the-chain",
        lesson="what is derived goes on where the truth ended",
        file="licence_master/service/writer.py",
        before="self._head = entries[-1].hash if entries else begin.head",
        after='self._head = entries[-1].hash if entries else b""',
        harness="a start from a snapshot",
        test="tests/licence_master/test_snapshots.py::test_the_state_of_a_snapshot_is_that_of_all_rows",
    ),
    Bug(
        name="late-news-not-counted",
        lesson="telemetry comes late and is still true",
        file="licence_master/service/past/peaks.py",
        before="self._reader.kept_before(min(mark.hour or earliest, earliest))",
        after="self._reader.kept_before(mark.hour or earliest)",
        harness="peaks beside brute force",
        test="tests/licence_master/test_peaks.py::test_stored_peaks_are_those_of_brute_force",
    ),
    Bug(
        name="reserved-units-lent-to-others",
        lesson="what is kept for one is not lent to another (L.r35)",
        file="licensing/lender/lending.py",
        before="units - state.lent_from(key, step) - kept_from(state, key, agent, step)",
        after="units - state.lent_from(key, step)",
        harness="cases of reservations",
        test="tests/licensing/test_reservations.py::test_l_q1_units_kept_for_a_site_are_lent_to_nobody_else",
    ),
    Bug(
        name="reserved-idle-units-recalled",
        lesson="what is kept for one is not asked back for another (L.r35)",
        file="licensing/lender/claims.py",
        before="return self.idle - self.guarded",
        after="return self.idle",
        harness="cases of reservations",
        test="tests/licensing/test_reservations.py::test_l_q3_idle_units_within_a_reservation_are_not_recalled_for_others",
    ),
)
