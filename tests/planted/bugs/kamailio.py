"""What the tests of Kamailio's driver and of its questions must catch."""

from tests.planted.bug import Bug

BUGS = (
    Bug(
        name="edge-admits-whom-it-trusts",
        lesson="one rule path",
        file="telephony/registration.py",
        before="if not (matter.request.authorized or self._settings.authenticated):",
        after="if not matter.request.authorized:",
        harness="examples",
        test="tests/telephony/test_questions.py::"
        "test_who_asks_has_checked_the_credentials_so_the_verdict_is_asked_without_them",
    ),
    Bug(
        name="phone-writes-a-question",
        lesson="what a phone chooses is hostile",
        file="telephony/pbx/questions.py",
        before=r'rb"\r\nVia: SIP/2\.0/TCP kamailio\.invalid;',
        after=r'rb"Via: ?SIP/2\.0/TCP ?kamailio\.invalid;',
        harness="examples",
        test="tests/telephony/test_questions.py::test_no_phone_writes_a_question",
    ),
)
