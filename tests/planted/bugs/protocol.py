"""What the exhaustive models must catch: the safety rules of the protocol undone in the real code."""

from tests.planted.bug import Bug

BUGS = (
    Bug(
        name="want-caps-nothing",
        lesson="safety rule 1; overshoot by slow sync",
        file="licensing/site/share.py",
        before="class_: msgspec.structs.replace(lent, cap=min(lent.cap, wants.get(class_, 0)))",
        after="class_: lent",
        harness="exhaustive model",
        test="tests/simulation/test_protocol.py::test_every_interleaving_is_safe[RealShare]",
    ),
    Bug(
        name="any-answer-obeyed",
        lesson="safety rule 2: only the answer to the latest seq",
        file="licensing/site/share.py",
        before="    if sent != record.in_flight:\n",
        after="    if record.in_flight is None:\n",
        more=[
            (
                "licensing/site/share.py",
                "(answer.ack_seq != record.seq, Code.SEQ_OLD)",
                "(answer.ack_seq > record.seq, Code.SEQ_OLD)",
            )
        ],
        harness="exhaustive model",
        test="tests/simulation/test_protocol.py::test_every_interleaving_is_safe[RealShare]",
    ),
    Bug(
        name="recovery-lends-at-once",
        lesson="safety rule 3: nothing new is lent before everyone is accounted for",
        file="licensing/lender/claims.py",
        before='.standing != "frozen" and not state.recovering',
        after='.standing != "frozen"',
        harness="exhaustive model of real cores",
        test="tests/simulation/test_pairs.py::test_every_interleaving_of_a_pair_is_safe[bundle-and-lost-master]",
    ),
    Bug(
        name="proof-counts-units-given-back",
        lesson="decision 0018; transfer loses licences",
        file="licensing/lender/recovery.py",
        before="held = request.held if request.held is not None else _last_granted(valid)",
        after="held = _last_granted(valid)",
        harness="exhaustive model of real cores",
        test="tests/simulation/test_pairs.py::test_every_interleaving_of_a_pair_is_safe[bundle-and-lost-master]",
    ),
    Bug(
        name="hello-accounts-at-once",
        lesson="decision 0012: a hello may be late on the wire",
        file="licensing/ledger.py",
        before="heard=state.heard | {self.agent},\n",
        after="heard=state.heard | {self.agent}, waiting=state.waiting - {self.agent},\n",
        harness="exhaustive model of real cores",
        test="tests/simulation/test_pairs.py::test_every_interleaving_of_a_pair_is_safe[surplus-and-lost-master]",
    ),
    Bug(
        name="bygone-epoch-answered",
        lesson="renewal of nothing; fencing",
        file="licensing/lender/contact.py",
        before="    if request.epoch < agent.epoch:\n        return Code.EPOCH_OLD\n",
        after="",
        harness="exhaustive model of real cores",
        test="tests/simulation/test_pairs.py::test_every_interleaving_of_a_pair_is_safe[site-release-and-master-crash]",
    ),
    Bug(
        name="surplus-grows",
        lesson="a recorded surplus only falls",
        file="licensing/lender/lending.py",
        before="too_old(state, agent, class_) or surplus_draws(state, agent, class_):\n",
        after="too_old(state, agent, class_):\n",
        more=[
            (
                "licensing/lender/lending.py",
                "min(sum(max(0, available(",
                "min(sum(abs(available(",
            )
        ],
        harness="exhaustive model of real cores",
        test="tests/simulation/test_pairs.py::test_every_interleaving_of_a_pair_is_safe[surplus-and-master-crash]",
    ),
    Bug(
        name="half-a-bundle",
        lesson="a bundle is drawn whole or not at all",
        file="licensing/lender/lending.py",
        before="for slot in bundle:\n        _draw(state, drawn, slot, units,",
        after="for slot in bundle[:1]:\n        _draw(state, drawn, slot, units,",
        harness="exhaustive model of real cores",
        test="tests/simulation/test_pairs.py::test_every_interleaving_of_a_pair_is_safe[bundle-and-agent-crash]",
    ),
    Bug(
        name="copy-not-noticed",
        lesson="two copies of one agent",
        file="licensing/lender/contact.py",
        before="if body_hash == contact.body_hash:\n            return Repeat()\n",
        after="return Repeat() if body_hash == contact.body_hash else Fresh()\n",
        harness="exhaustive model of real cores",
        test="tests/simulation/test_pairs.py::test_every_interleaving_of_a_pair_is_safe[clone-and-agent-crash]",
    ),
    Bug(
        name="want-falls-after-an-unclean-stop",
        lesson="safety rule 4: no want falls before a snapshot",
        file="licensing/site/want.py",
        before="        return max(want, self.floor)\n",
        after="        return want\n",
        harness="test of the seats",
        test="tests/licensing/test_seat.py::test_after_an_unclean_stop_no_want_falls",
    ),
    Bug(
        name="late-messages-called-a-copy",
        lesson="zero false alarms over lossy networks",
        file="licensing/lender/contact.py",
        before="    if not hello and stray_seq is not None and stray_seq < request.seq:\n",
        after="    if stray_seq is not None and stray_seq < request.seq:\n",
        more=[
            ("licensing/lender/contact.py", "    if not hello:\n        return _rejected(Code.SEQ_OLD)\n", "")
        ],
        harness="exhaustive model of real cores",
        test="tests/simulation/test_pairs.py::test_every_interleaving_of_a_pair_is_safe[agent-crash-and-unsigned-hint]",
    ),
)
