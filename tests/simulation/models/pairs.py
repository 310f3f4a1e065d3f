"""The pairs of features that can interact, each with the rules that its model must need.

What is together here shares a number: a recall and a removal both ask units back, a bundle and a recall both
wait for a second pool, a lost store and a late message both tell of a share that is gone. Pairs that touch
nothing in common (a clone and a bundle, say) have no model; the seeded simulation mixes everything.
"""

from licensing.installation import Pbx
from tests.simulation.models.rules import Rule
from tests.simulation.models.scenario import Budget, Said, Scenario

TWO_PORTS = (Said(0, 2),)
ONE_EACH = (Said(0, 1), Said(1, 1))
BOTH_SEATED = (Said(0, 1, 1), Said(1, 1, 1))

CRASHES = (
    Scenario(
        name="agent crash × master crash",
        budget=Budget(crashes=1, restarts=1),
        rules=(
            Rule.WANT_CAPS,
            Rule.LATEST_ONLY,
            Rule.AGENT_DURABLE,
            Rule.NO_FALL,
            Rule.GATE_COUNTS,
            Rule.SEQ_ORDER,
            Rule.ANSWER_AFTER_COMMIT,
        ),
        said=(Said(0, 1, 1),),
        sends=(2, 1),
        larger=(2, 2),
    ),
    Scenario(
        name="agent crash × unsigned hint",
        budget=Budget(crashes=1, hints=1),
        rules=(Rule.AGENT_DURABLE, Rule.LATEST_ONLY),
        sends=(3, 1),
        larger=(4, 1),
        phones=False,
    ),
)

RECALLS = (
    Scenario(
        name="recall × agent crash",
        budget=Budget(crashes=1),
        rules=(Rule.RETURNED_FIRST, Rule.RECALL_SPARES_USED, Rule.NO_FALL, Rule.WANT_CAPS),
        said=(Said(0, 2, 1),),
        sends=(2, 1),
        larger=(3, 1),
        idle=True,
    ),
    Scenario(
        name="recall × master crash",
        budget=Budget(restarts=1),
        rules=(Rule.RETURNED_FIRST, Rule.RECALL_SPARES_USED),
        said=(Said(0, 2, 1),),
        sends=(2, 1),
        larger=(2, 2),
        idle=True,
    ),
    Scenario(
        name="recall × surplus",
        budget=Budget(shrinks=1),
        rules=(Rule.SURPLUS_FALLS, Rule.NEWEST_MARKED, Rule.RETURNED_FIRST),
        said=(Said(0, 2, 1), Said(1, 0)),
        sends=(2, 1),
        larger=(2, 2),
        idle=True,
    ),
)

SURPLUS = (
    Scenario(
        name="surplus × agent crash",
        budget=Budget(crashes=1, shrinks=1),
        rules=(Rule.SURPLUS_FALLS, Rule.NEWEST_MARKED, Rule.NO_FALL, Rule.RECALL_SPARES_USED),
        said=BOTH_SEATED,
        sends=(1, 2),
        larger=(2, 2),
    ),
    Scenario(
        name="surplus × master crash",
        budget=Budget(restarts=1, shrinks=1),
        rules=(Rule.SURPLUS_FALLS, Rule.ANSWER_AFTER_COMMIT),
        said=ONE_EACH,
        larger=(3, 2),
        phones=False,
    ),
    Scenario(
        name="surplus × lost master",
        budget=Budget(shrinks=1, losses=1),
        rules=(Rule.RECOVERY_WAITS, Rule.HELD, Rule.ACCOUNTED_BY_SYNC),
        said=ONE_EACH,
        larger=(3, 2),
        phones=False,
    ),
)


def _bundle(
    name: str,
    budget: Budget,
    rules: tuple[Rule, ...],
    said: tuple[Said, ...],
    sends: tuple[int, ...],
    shrinks: str = "PBX-Port13",
) -> Scenario:
    """lyon draws a Port for each seat, nice a Port and an IPVA: they share the Ports."""
    return Scenario(
        name=name,
        budget=budget,
        rules=rules,
        pbxs=(Pbx("lyon"), Pbx("nice", platform="ipva")),
        classes=("seat", "virtual_seat"),
        stock={"PBX-Port13": 2, "PBX-IPVA13": 1},
        shrinks=shrinks,
        said=said,
        sends=sends,
        larger=tuple(count + 1 for count in sends),
        phones=False,
        idle="recall" in name,
    )


BUNDLES = (
    _bundle("bundle × recall", Budget(), (Rule.WHOLE_BUNDLE, Rule.RETURNED_FIRST), TWO_PORTS, (3, 3)),
    _bundle(
        "bundle × surplus",
        Budget(shrinks=1),
        (Rule.WHOLE_BUNDLE, Rule.SURPLUS_FALLS),
        ONE_EACH,
        (3, 3),
    ),
    _bundle(
        "bundle × surplus of one half",
        Budget(shrinks=1),
        (Rule.WHOLE_BUNDLE,),
        ONE_EACH,
        (3, 3),
        shrinks="PBX-IPVA13",
    ),
    _bundle(
        "bundle × agent crash",
        Budget(crashes=1),
        (Rule.WHOLE_BUNDLE, Rule.WANT_CAPS, Rule.AGENT_DURABLE),
        ONE_EACH,
        (3, 2),
    ),
    _bundle(
        "bundle × lost master",
        Budget(losses=1),
        (Rule.WHOLE_BUNDLE, Rule.RECOVERY_WAITS, Rule.HELD),
        TWO_PORTS,
        (2, 2),
    ),
)

MASTERS = (
    Scenario(
        name="lost master × late answers",
        budget=Budget(losses=1),
        rules=(Rule.RECOVERY_WAITS, Rule.HELD, Rule.LATEST_ONLY),
        said=TWO_PORTS,
        sends=(3, 2),
        larger=(3, 3),
        phones=False,
    ),
    Scenario(
        name="lost master × late hellos",
        budget=Budget(losses=1, crashes=1, hints=1),
        rules=(Rule.ACCOUNTED_BY_SYNC, Rule.RECOVERY_WAITS),
        stock={"PBX-Port13": 1},
        wants=1,
        sends=(2, 2),
        larger=(3, 2),
        phones=False,
    ),
    Scenario(
        name="lost master × site release",
        budget=Budget(losses=1, releases=1),
        rules=(Rule.RECOVERY_WAITS, Rule.HELD, Rule.EPOCH),
        said=TWO_PORTS,
        sends=(2, 2),
        larger=(3, 2),
        phones=False,
    ),
    Scenario(
        name="restored master × late answers",
        budget=Budget(backups=1, restores=1),
        rules=(Rule.RESTORED_WAITS, Rule.RECOVERY_WAITS, Rule.HELD),
        said=TWO_PORTS,
        sends=(2, 1),
        larger=(2, 2),
        phones=False,
    ),
    Scenario(
        name="restored master × agent crash",
        budget=Budget(backups=1, restores=1, crashes=1),
        rules=(Rule.RESTORED_WAITS, Rule.RECOVERY_WAITS, Rule.HELD),
        said=TWO_PORTS,
        sends=(2, 1),
        larger=(2, 2),
        phones=False,
    ),
    Scenario(
        name="two masters × late answers",
        budget=Budget(backups=1, doubles=1),
        rules=(Rule.RESTORED_WAITS, Rule.RECOVERY_WAITS, Rule.HELD),
        covered=(Rule.TERM_FENCE, Rule.KNOWN_MASTER),
        said=TWO_PORTS,
        sends=(2, 1),
        larger=(2, 2),
        phones=False,
    ),
    Scenario(
        name="two masters × master crash",
        budget=Budget(backups=1, doubles=1, restarts=1),
        rules=(Rule.RESTORED_WAITS, Rule.RECOVERY_WAITS),
        stock={"PBX-Port13": 1},
        wants=1,
        said=(Said(0, 1),),
        sends=(2, 1),
        larger=(2, 2),
        phones=False,
    ),
)

STANDBY = (
    Scenario(
        name="standby × agent crash",
        budget=Budget(fails=1, crashes=1),
        rules=(Rule.STANDBY_APART, Rule.NO_FALL),
        pbxs=(Pbx("lyon"), Pbx("nice", role="standby", standby_for=("lyon",))),
        classes=("seat", "standby_seat"),
        stock={"PBX-Port13": 2, "PBX-Standby13": 2},
        said=(Said(0, 2, 1), Said(1, 1)),
        sends=(1, 1),
        larger=(2, 2),
        struck=(0, 1),
    ),
    Scenario(
        name="standby × surplus",
        budget=Budget(fails=1, shrinks=1),
        rules=(Rule.STANDBY_APART, Rule.STANDBY_WHOLE),
        pbxs=(Pbx("lyon"), Pbx("nice", role="standby", standby_for=("lyon",))),
        classes=("seat", "standby_seat"),
        stock={"PBX-Port13": 2, "PBX-Standby13": 2},
        shrinks="PBX-Standby13",
        said=(Said(0, 2, 1), Said(1, 1)),
        sends=(1, 2),
        larger=(2, 2),
    ),
    Scenario(
        name="standby × bundle",
        budget=Budget(crashes=1),
        rules=(Rule.WHOLE_BUNDLE, Rule.WANT_CAPS),
        pbxs=(
            Pbx("lyon", platform="ipva"),
            Pbx("nice", role="standby", standby_for=("lyon",), platform="ipva"),
        ),
        classes=("virtual_seat", "virtual_standby_seat"),
        stock={"PBX-Port13": 2, "PBX-Standby13": 2, "PBX-IPVA13": 2},
        said=ONE_EACH,
        larger=(3, 2),
        phones=False,
    ),
    Scenario(
        name="standby × lost master",
        budget=Budget(losses=1),
        rules=(Rule.RECOVERY_WAITS, Rule.HELD),
        pbxs=(
            Pbx("lyon", role="standby", standby_for=("nice",)),
            Pbx("nice", role="standby", standby_for=("lyon",)),
        ),
        classes=("standby_seat", "standby_seat"),
        stock={"PBX-Port13": 2, "PBX-Standby13": 2},
        said=TWO_PORTS,
        larger=(3, 2),
        phones=False,
    ),
)

COPIES = (
    Scenario(
        name="clone × agent crash",
        budget=Budget(clones=1, crashes=1),
        rules=(Rule.SAME_SEQ,),
        said=TWO_PORTS,
        sends=(2, 0),
        larger=(3, 0),
        phones=False,
    ),
    Scenario(
        name="clone × master crash",
        budget=Budget(clones=1, restarts=1),
        rules=(Rule.SAME_SEQ,),
        said=TWO_PORTS,
        sends=(2, 0),
        larger=(2, 1),
        phones=False,
    ),
    Scenario(
        name="clone × lost master",
        budget=Budget(clones=1, losses=1),
        rules=(Rule.SAME_SEQ,),
        said=TWO_PORTS,
        sends=(2, 0),
        larger=(3, 0),
        phones=False,
    ),
    Scenario(
        name="old directory × late answers",
        budget=Budget(snapshots=1, rewinds=1),
        rules=(Rule.SAME_SEQ,),
        covered=(Rule.OLD_SEQ,),
        said=TWO_PORTS,
        sends=(3, 1),
        larger=(4, 1),
        phones=False,
    ),
    Scenario(
        name="old directory × agent crash",
        budget=Budget(snapshots=1, rewinds=1, crashes=1),
        rules=(Rule.OLD_NONCE,),
        said=TWO_PORTS,
        sends=(4, 0),
        larger=(5, 0),
        phones=False,
    ),
)

RELEASES = (
    Scenario(
        name="site release × agent crash",
        budget=Budget(releases=1, crashes=1),
        rules=(Rule.EPOCH, Rule.AGENT_DURABLE),
        said=TWO_PORTS,
        sends=(3, 1),
        larger=(3, 2),
        phones=False,
    ),
    Scenario(
        name="site release × master crash",
        budget=Budget(releases=1, restarts=1),
        rules=(Rule.EPOCH, Rule.ANSWER_AFTER_COMMIT),
        said=TWO_PORTS,
        sends=(2, 1),
        larger=(3, 2),
        phones=False,
    ),
)

PAIRS = (*CRASHES, *RECALLS, *SURPLUS, *BUNDLES, *MASTERS, *STANDBY, *COPIES, *RELEASES)
