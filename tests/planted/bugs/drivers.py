"""What the picture of a PBX, the recordings of Asterisk and the agent that observes one must catch."""

from tests.planted.bug import Bug

BUGS = (
    Bug(
        name="a-list-undoes-what-came-meanwhile",
        lesson="counting events instead of state",
        file="telephony/pbx/picture.py",
        before="        for change in meanwhile:\n            changed += self._apply(change)\n",
        after="",
        harness="cases of an old list",
        test="tests/telephony/test_picture.py::test_what_came_after_the_question_outlives_an_older_list",
    ),
    Bug(
        name="an-error-is-an-empty-list",
        lesson="an empty answer may come as an error, and an error is not empty",
        file="telephony/pbx/asterisk.py",
        before="    raise UnknownError(answer.text)\n",
        after="    return ()\n",
        harness="recordings",
        test="tests/telephony/test_asterisk.py::test_any_other_error_is_no_empty_set",
    ),
    Bug(
        name="the-guard-alone-gives-a-seat-back",
        lesson="one seat, two witnesses",
        file="agent/service/seats.py",
        before="        if not self.elsewhere(name):\n",
        after="        if True:\n",
        harness="scripted peers",
        test="tests/agent/test_observer.py::test_a_seat_goes_back_when_guard_and_pbx_both_know_it_no_more",
    ),
)
