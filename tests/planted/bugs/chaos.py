"""What the chaos on real processes must catch, and the ratchet that finds copies."""

from tests.planted.bug import Bug

ONE_KILL = "tests/chaos/test_kills_of_the_master.py::test_one_kill_in_one_history"
IMPOSTERS = "tests/acceptance/test_refusals.py::test_an_agent_obeys_no_one_who_is_not_its_master"
COPIES = "tests/chaos/test_ratchet.py::test_a_second_copy_is_found_at_the_second_message"

BUGS = (
    Bug(
        name="contention-becomes-an-error",
        lesson="contention becomes an error",
        file="licence_master/edges/agent_api.py",
        before="        if installation.writer.busy:\n",
        after="        if installation.writer._commits._waiting:\n",
        harness="64 askers of a real master",
        test=ONE_KILL,
    ),
    Bug(
        name="answered-before-it-is-durable",
        lesson="durability below promise",
        file="licence_master/service/answers.py",
        before="        await self._writer.commit(outcome.state, outcome.events, f",
        after="        self._writer.commit(outcome.state, outcome.events, f",
        harness="kill -9 of a real master",
        test=ONE_KILL,
    ),
    Bug(
        name="stray-forgotten",
        lesson="two copies of one agent",
        file="licensing/lender/contact.py",
        before="            stray=self.stray,",
        after='            stray="",',
        harness="ratchet of seq and nonce",
        test=COPIES,
    ),
    Bug(
        name="clone-check-removed",
        lesson="two copies of one agent",
        file="licensing/lender/contact.py",
        before="    events = () if known else (CloneSuspected(agent.name, reason, standing),)\n",
        after="    events = ()\n",
        harness="ratchet of seq and nonce",
        test=COPIES,
    ),
    Bug(
        name="honest-agent-suspected",
        lesson="two copies of one agent",
        file="licensing/lender/contact.py",
        before="        alive = boot != contact.boot and 0 < contact.since <= request.seq\n",
        after="        alive = boot != contact.boot\n",
        harness="ratchet of seq and nonce",
        test="tests/chaos/test_ratchet.py::test_an_honest_agent_is_never_suspected",
    ),
    Bug(
        name="copy-of-the-store-lends",
        lesson="locks without fencing",
        file="licence_master/service/installation.py",
        before="        return self.last not in (None, self.here)\n",
        after="        return False\n",
        harness="a store served from another place",
        test="tests/licence_master/test_home.py",
    ),
    Bug(
        name="lower-term-obeyed",
        lesson="locks without fencing",
        file="licensing/site/share.py",
        before="        (answer.term < record.term, Code.TERM_OLD),\n",
        after="",
        harness="examples of the agent's side",
        test="tests/licensing/test_share.py",
    ),
    Bug(
        name="unsigned-answer-obeyed",
        lesson="no door",
        file="agent/edges/master.py",
        before="    if not verify(master_key, answer_type(",
        after="    if not master_key and verify(master_key, answer_type(",
        harness="imposters of a real master",
        test=IMPOSTERS,
    ),
)
