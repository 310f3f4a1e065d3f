"""What the tests of counted calls must catch: channels freed, doubled or told of too early."""

from tests.planted.bug import Bug

UNIT = "tests/telephony/test_calls.py::"

BUGS = (
    Bug(
        name="challenged-bye-frees-a-channel",
        lesson="licence rule L.r20; a channel is free while its call goes on",
        file="telephony/calls.py",
        before="            if status in GONE or (bye and status < 300):\n",
        after="            if status in GONE or bye:\n",
        harness="cases of calls",
        test=UNIT + "test_a_bye_that_is_not_accepted_ends_nothing",
    ),
    Bug(
        name="late-answer-not-counted",
        lesson="CANCEL and 2xx cross: the call goes on without a channel",
        file="telephony/tally.py",
        before="        del self._remembered[call.branch]\n        self.take(call, now_ms)\n",
        after="        del self._remembered[call.branch]\n        self.join(call)\n",
        harness="cases of calls",
        test=UNIT + "test_a_2xx_that_comes_after_the_end_is_counted_beyond_the_channels",
    ),
    Bug(
        name="invite-leaves-before-the-disk",
        lesson="durability below promise: kill -9 frees a channel",
        file="agent/service/counting.py",
        before="output.urgent or self._stored is None or (self._stored.done() and not self.behind)",
        after="True",
        harness="running agent",
        test="tests/agent/test_counting.py::test_what_the_other_side_hears_of_a_call_is_on_disk",
    ),
)
