"""Bugs of the disk: weaker syncs, a commit tried again, a restored store that lends at once."""

from tests.planted.bug import Bug

BUGS = (
    Bug(
        name="synchronous-normal",
        lesson="durability below promise (keygen-relay)",
        file="runtime/store.py",
        before='synchronous: Literal["FULL", "NORMAL"] = "FULL"\n',
        after='synchronous: Literal["FULL", "NORMAL"] = "NORMAL"\n',
        harness="sync counting on the shipped program",
        test="tests/chaos/test_writes.py::test_the_master_syncs_between_each_request_and_its_answer",
    ),
    Bug(
        name="answer-before-commit",
        lesson="reply after durable",
        file="licence_master/service/answers.py",
        before="        await self._writer.commit(outcome.state, outcome.events,",
        after="        self._writer.commit(outcome.state, outcome.events,",
        harness="sync counting on the shipped program",
        test="tests/chaos/test_writes.py::test_the_master_syncs_between_each_request_and_its_answer",
    ),
    Bug(
        name="audit-after-the-change",
        lesson="audit after commit (keygen-relay)",
        file="runtime/store.py",
        before="                await self._database.write(statements)\n",
        after=(
            "                await self._database.write(statements[1:])\n"
            "                await self._database.write(statements[:1])\n"
        ),
        harness="the audit row refused by the store",
        test="tests/chaos/test_writes.py::test_when_the_audit_row_cannot_be_written_nothing_of_the_change_is",
    ),
    Bug(
        name="commit-tried-again",
        lesson="step down on a commit error",
        file="runtime/store.py",
        before="                await self._database.write(statements)\n",
        after=(
            "                try:\n"
            "                    await self._database.write(statements)\n"
            "                except sqlite3.Error:\n"
            "                    await self._database.write(statements)\n"
        ),
        harness="sync number n made to fail by strace",
        test="tests/runtime/test_store_process.py::test_a_commit_that_fails_is_not_tried_again[fdatasync]",
    ),
    Bug(
        name="checkpoint-error-swallowed",
        lesson="step down on an error of a checkpoint",
        file="runtime/store.py",
        before="        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:\n            raise\n",
        after="        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:\n            raise\n",
        harness="sync number n made to fail by strace",
        test="tests/runtime/test_store_process.py::test_a_checkpoint_whose_sync_fails_ends_the_writer",
    ),
    Bug(
        name="restored-store-lends-at-once",
        lesson="safety rule 3",
        file="licensing/administration.py",
        before="    return change(state, [restored, RecoveryStarted(everyone(state))])\n",
        after="    return change(state, [restored])\n",
        harness="backup and restore of a real master",
        test="tests/chaos/test_backup.py::test_a_restored_store_is_the_backed_up_one_in_every_table",
    ),
    Bug(
        name="restored-record-believed",
        lesson="safety rule 3: what moved since the backup is in use elsewhere",
        file="licensing/lender/recovery.py",
        before="        after = fall(after, request.agent, class_, held.get(class_, 0))\n",
        after="",
        harness="cases of a recovery",
        test="tests/licensing/test_recovery.py::test_a_restored_store_lends_nobody_what_it_gave_back_since",
    ),
    Bug(
        name="restore-loses-a-table",
        lesson="failover loses features (FlexNet Embedded)",
        file="licence_master/service/restoring.py",
        before="        await database.execute(backup.DROP_LABEL)\n",
        after=(
            "        await database.execute(backup.DROP_LABEL)\n"
            '        await database.execute("DELETE FROM token")\n'
        ),
        harness="backup and restore of a real master",
        test="tests/chaos/test_backup.py::test_a_restored_store_is_the_backed_up_one_in_every_table",
    ),
    Bug(
        name="chain-not-checked",
        lesson="audit: editing one row is named",
        file="licence_master/store/ledger.py",
        before=" or link(previous, seq, term, at_ms, actor, body) != hash_:",
        after=":",
        harness="a row edited in a real store",
        test="tests/licence_master/test_survival.py::test_an_edited_row_is_named_and_not_served",
    ),
    Bug(
        name="ballast-never-freed",
        lesson="a full disk: releases go on",
        file="runtime/ballast.py",
        before="        if not self._writable():\n            self._free()\n",
        after="",
        harness="a master on a tmpfs that is full",
        test="tests/chaos/test_disk.py::test_a_full_disk_frees_its_ballast_and_all_goes_on_when_there_is_room",
        more=(
            ("runtime/ballast.py", "        elif self.free_bytes < size // 4:\n", "        elif False:\n"),
        ),
    ),
    Bug(
        name="callback-exception-only-logged",
        lesson="when in doubt, stop",
        file="runtime/daemon.py",
        before="    loop.set_exception_handler(surprises)\n",
        after="",
        harness="the daemon shell as a real process",
        test="tests/runtime/test_daemon.py::test_an_exception_in_a_callback_ends_it_like_a_dead_task[callback]",
    ),
    Bug(
        name="events-followed-twice",
        lesson="who holds what is the same after a start",
        file="licence_master/store/activity.py",
        before=" for row in group if row[0] > upto]",
        after=" for row in group]",
        harness="a store read again after every step",
        test="tests/licence_master/test_holdings.py::test_a_start_finds_whom_the_memory_had",
    ),
)
