"""What the cases of conversion, transfer and takeover must catch."""

from tests.planted.bug import Bug

BUGS = (
    Bug(
        name="converted-under-the-phones",
        lesson="licence rule L.r18; registrations lose their units in a conversion",
        file="licensing/files/stock_events.py",
        before="moved[key._replace(pool=self.after_) if key.pool == self.before else key] += units",
        after="moved[key] += units",
        harness="cases of the licence rules",
        test="tests/licensing/test_conversion.py",
    ),
    Bug(
        name="transferred-and-kept",
        lesson="units that are in two places",
        file="licensing/files/stock_events.py",
        before="        _take(entitlements, self.number, self.moved.count)\n",
        after="",
        harness="cases of the licence rules",
        test="tests/licensing/test_transfer.py",
    ),
    Bug(
        name="failed-pbx-loses-its-ports",
        lesson="licence rule L.r16; a PBX that comes back finds its units lent to others",
        file="licensing/lender/allocator.py",
        before="    demand = with_reserve(state, agent, told)\n",
        after="    demand = dict(told)\n",
        harness="cases of the licence rules",
        test="tests/licensing/test_takeover.py",
    ),
)
