"""Bindings against a dict, with time jumping exactly to the next expiry."""

from hypothesis import given
from hypothesis import strategies as st

from telephony.binding import Binding, Bindings, Registration
from tests.telephony.scene import ANNA

steps = st.lists(
    st.tuples(
        st.sampled_from("ab"), st.sampled_from("xy"), st.lists(st.integers(1, 4), max_size=2), st.booleans()
    ),
    max_size=30,
)


@given(steps)
def test_expiry_is_exact_whatever_replaced_what(steps: list[tuple[str, str, list[int], bool]]) -> None:
    bindings = Bindings()
    model: dict[str, tuple[str, list[int]]] = {}
    now = 0
    for aor, name, ends, jump in steps:
        held = tuple(Binding(f"c{number}", ANNA, now + end, end) for number, end in enumerate(ends))
        bindings.replace(Registration(aor, name, "user", held))
        model[aor] = (name, [now + end for end in ends])
        soonest = min((end for _, ends in model.values() for end in ends), default=None)
        assert bindings.next_expiry() == soonest
        if jump and soonest is not None:
            assert bindings.expire(soonest - 1) == []
            now = soonest
            changed = {before.aor for before in bindings.expire(now)}
            assert changed == {aor for aor, (_, ends) in model.items() if now in ends}
            model = {aor: (name, [end for end in ends if end > now]) for aor, (name, ends) in model.items()}
        assert {one.aor: (one.name, [b.expires_ms for b in one.bindings]) for one in bindings.all()} == {
            aor: kept for aor, kept in model.items() if kept[1]
        }
        for name in "xy":
            assert bindings.holds(name) == any(ends for other, ends in model.values() if other == name)
