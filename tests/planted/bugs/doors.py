"""What the tests of the doors must catch: who may ask what, and who signed it."""

from tests.planted.bug import Bug

BUGS = (
    Bug(
        name="route-without-a-door",
        lesson="no door",
        file="licence_master/edges/entrance.py",
        before='(request.method, request.scope["path"]) in door.open_paths',
        after='(request.method, request.scope["path"]) in door.open_paths or request.method == "GET"',
        harness="authorisation matrix",
        test="tests/licence_master/test_authorisation.py::test_a_route_for_every_caller[GET-/pools]",
    ),
    Bug(
        name="route-for-a-lower-role",
        lesson="no door",
        file="licence_master/edges/changing.py",
        before="    _token_routes(routes, admin)\n",
        after="    _token_routes(routes, operator)\n",
        harness="authorisation matrix",
        test="tests/licence_master/test_authorisation.py::test_a_route_for_every_caller[POST-/tokens]",
    ),
    Bug(
        name="verifier-can-forge",
        lesson="verifier can forge",
        file="runtime/signing.py",
        before="        signature = base64.b64decode(encoded, validate=True)\n",
        after="        signature = base64.b64decode(encoded, validate=True)\n"
        "        encoding = pre_authentication_encoding(type_, body)\n"
        '        if signature == __import__("hmac").digest(public, encoding, "sha256"):\n'
        "            return True\n",
        harness="attempts with what everybody knows",
        test="tests/runtime/test_signing.py::test_what_everybody_knows_opens_nothing",
    ),
    Bug(
        name="expired-token-accepted",
        lesson="renewal revives the dead",
        file="licence_master/service/enrolment.py",
        before="token.revoked_ms is not None or token.expires_ms <= now",
        after="token.revoked_ms is not None",
        harness="authorisation matrix",
        test="tests/licence_master/test_authorisation.py::test_a_route_for_every_caller[GET-/history]",
    ),
    Bug(
        name="session-outlives-the-password",
        lesson="renewal revives the dead",
        file="licence_master/edges/doorkeeper.py",
        before="person is None or person.changed_ms != session.changed_ms",
        after="person is None",
        harness="authorisation matrix",
        test="tests/licence_master/test_authorisation.py::test_a_route_for_every_caller[GET-/users]",
    ),
    Bug(
        name="site-sees-another-site",
        lesson="no door",
        file="licence_master/edges/doorkeeper.py",
        before="        return self.caller.site in (None, pbx)\n",
        after="        return True\n",
        harness="authorisation matrix",
        test="tests/licence_master/test_authorisation.py::test_a_site_sees_itself_alone",
    ),
    Bug(
        name="renewal-of-nothing",
        lesson="renewal of nothing",
        file="licensing/lender/contact.py",
        before="    if request.epoch < agent.epoch:\n        return Code.EPOCH_OLD\n",
        after="",
        harness="refusals of a running master",
        test="tests/licence_master/test_refusals.py::test_a_released_site_comes_back_by_its_key_with_share_0",
    ),
    Bug(
        name="unknown-agent-answered",
        lesson="renewal of nothing",
        file="licence_master/edges/agent_api.py",
        before="    if not verify(base64.b64decode(public_key), type_, body, signature):\n",
        after="    if False:\n",
        harness="authorisation matrix",
        test="tests/licence_master/test_authorisation.py::test_the_agents_port_for_every_key",
    ),
    Bug(
        name="rate-limit-off",
        lesson="limits on by default",
        file="licence_master/edges/limits.py",
        before="        if full_at - now_ms > BURST_MS:\n",
        after="        if full_at - now_ms > 1_000 * BURST_MS:\n",
        harness="limits by real connections",
        test="tests/licence_master/test_limits.py::test_both_ports_limit_an_address_unless_told_otherwise",
    ),
    Bug(
        name="csrf-check-dropped",
        lesson="no door",
        file="licence_master/edges/doorkeeper.py",
        before="request.method not in SAFE_METHODS and not self._meant(request, secret)",
        after="request.method not in SAFE_METHODS and not self.from_here(request)",
        harness="authorisation matrix",
        test="tests/licence_master/test_authorisation.py::test_a_route_for_every_caller[POST-/users]",
    ),
    Bug(
        name="unknown-token-is-an-error",
        lesson="contention becomes an error",
        file="licence_master/edges/changing.py",
        before="        if isinstance(ended, Refusal):\n            raise ProblemError(ended)\n",
        after="",
        harness="schemathesis",
        test="tests/licence_master/test_described.py::"
        "test_every_operation_keeps_to_its_description[things-that-do-not]",
    ),
)
