"""Where numbers of France and Italy, and of the world seen from there, belong: classes, and no prices.

`tariff check` holds a tariff against it. Sources: for France the plan of ARCEP (blocks 01-05, 06, 07, 08, 09,
10xx, 3xxx, 118xyz; overseas blocks by department) as rule B.r16 has it, for Italy the plan of AGCOM
(8/15/CIR), for the rest the country codes of ITU-T E.164. Mobile blocks abroad are those that plans
keep apart by their first digits; where fixed and mobile share blocks, as in +1, all is INT_FIXE.
None of the regulators' own tables was read for it: compare it with them before a release (B.r16).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final, NamedTuple

from billing.core.number import COUNTRIES
from billing.core.tariff import Tariff


class Destination(NamedTuple):
    """A block of numbers; `kind` and `prefix` as in a tariff."""

    kind: str
    prefix: str
    class_: str
    label: str


# kind, prefix, class, label
_FRANCE: Final = """
voice +331 FR_FIXE Île-de-France
voice +332 FR_FIXE Nord-Ouest
voice +333 FR_FIXE Nord-Est
voice +334 FR_FIXE Sud-Est
voice +335 FR_FIXE Sud-Ouest
voice +339 FR_FIXE Non géographique
voice +336 FR_MOBILE Mobiles 06
voice +337 FR_MOBILE Mobiles 07
voice +338 SPECIAL Numéros spéciaux 08
voice +33800 SPECIAL Service et appel gratuits
voice +33801 SPECIAL Service et appel gratuits
voice +33802 SPECIAL Service et appel gratuits
voice +33803 SPECIAL Service et appel gratuits
voice +33804 SPECIAL Service et appel gratuits
voice +33805 SPECIAL Service et appel gratuits
voice +33806 SPECIAL Prix d'un appel vers un fixe
voice +33807 SPECIAL Prix d'un appel vers un fixe
voice +33808 SPECIAL Prix d'un appel vers un fixe
voice +33809 SPECIAL Prix d'un appel vers un fixe
voice +3381 SPECIAL Service à prix majoré
voice +3382 SPECIAL Service à prix majoré
voice +3389 SPECIAL Service à prix majoré
voice FR:10 SPECIAL Numéros courts 10xx
voice FR:3 SPECIAL Numéros courts 3xxx
voice FR:118 SPECIAL Renseignements 118xyz
fax +33 FAX_FR Fax France
sms +33 SMS_FR SMS France
voice +262 INT_FIXE La Réunion, Mayotte
voice +262639 INT_MOBILE Mayotte, mobiles
voice +262692 INT_MOBILE La Réunion, mobiles
voice +262693 INT_MOBILE La Réunion, mobiles
voice +590 INT_FIXE Guadeloupe
voice +590690 INT_MOBILE Guadeloupe, mobiles
voice +590691 INT_MOBILE Guadeloupe, mobiles
voice +594 INT_FIXE Guyane
voice +594694 INT_MOBILE Guyane, mobiles
voice +596 INT_FIXE Martinique
voice +596696 INT_MOBILE Martinique, mobiles
voice +596697 INT_MOBILE Martinique, mobiles
voice +393 INT_MOBILE Italie, mobiles
"""
_ITALY: Final = """
voice +390 IT_FIXE Numeri geografici
voice +3955 IT_FIXE Numeri nomadici
voice +393 IT_MOBILE Cellulari
voice +39800 FREE Numeri verdi
voice +39803 FREE Numeri verdi
voice +39178 SPECIAL Numeri unici e personali
voice +39199 SPECIAL Numeri unici
voice +397 SPECIAL Accesso a Internet
voice +3984 SPECIAL Addebito ripartito
voice +3989 SPECIAL Sovrapprezzo
voice IT:1 SPECIAL Numeri brevi
voice IT:4 SPECIAL Numeri brevi
fax +39 FAX_IT Fax Italia
sms +39 SMS_IT SMS Italia
voice +336 INT_MOBILE Francia, cellulari
voice +337 INT_MOBILE Francia, cellulari
"""
_NEIGHBOURS: Final = """
voice +3247 INT_MOBILE Belgique, mobiles
voice +3248 INT_MOBILE Belgique, mobiles
voice +3249 INT_MOBILE Belgique, mobiles
voice +346 INT_MOBILE Espagne, mobiles
voice +347 INT_MOBILE Espagne, mobiles
voice +3519 INT_MOBILE Portugal, mobiles
voice +3526 INT_MOBILE Luxembourg, mobiles
voice +316 INT_MOBILE Pays-Bas, mobiles
voice +4175 INT_MOBILE Suisse, mobiles
voice +4176 INT_MOBILE Suisse, mobiles
voice +4177 INT_MOBILE Suisse, mobiles
voice +4178 INT_MOBILE Suisse, mobiles
voice +4179 INT_MOBILE Suisse, mobiles
voice +4366 INT_MOBILE Autriche, mobiles
voice +4367 INT_MOBILE Autriche, mobiles
voice +4368 INT_MOBILE Autriche, mobiles
voice +4369 INT_MOBILE Autriche, mobiles
voice +447 INT_MOBILE Royaume-Uni, mobiles
voice +4470 INT_FIXE Royaume-Uni, numéros personnels
voice +4476 INT_FIXE Royaume-Uni, radiomessagerie
voice +4915 INT_MOBILE Allemagne, mobiles
voice +4916 INT_MOBILE Allemagne, mobiles
voice +4917 INT_MOBILE Allemagne, mobiles
"""
_WORLD: Final = """
voice +1 INT_FIXE Amérique du Nord
voice +2 INT_FIXE Afrique
voice +3 INT_FIXE Europe
voice +4 INT_FIXE Europe
voice +5 INT_FIXE Amérique latine
voice +6 INT_FIXE Asie du Sud-Est, Océanie
voice +7 INT_FIXE Russie, Kazakhstan
voice +8 INT_FIXE Asie de l'Est
voice +9 INT_FIXE Asie de l'Ouest et du Sud
voice +870 INT_MOBILE Satellite
voice +881 INT_MOBILE Satellite
voice +882 INT_MOBILE Satellite
voice +883 INT_MOBILE Satellite
"""


def _read(*tables: str) -> tuple[Destination, ...]:
    """The rows; what stands earlier wins over the same block in a later table."""
    found: dict[tuple[str, str], Destination] = {}
    for line in "".join(tables).split("\n"):
        if line:
            row = Destination(*line.split(" ", 3))
            found.setdefault((row.kind, row.prefix), row)
    return tuple(found.values())


DESTINATIONS: Final[Mapping[str, Sequence[Destination]]] = {
    "FR": _read(_FRANCE, _NEIGHBOURS, _WORLD),
    "IT": _read(_ITALY, _NEIGHBOURS, _WORLD),
}
assert set(DESTINATIONS) == set(COUNTRIES)


def unpriced(tariff: Tariff, country: str, day: date) -> Sequence[Destination]:
    """The destinations of a country that no row of the tariff prices on this day, not even in part."""
    valid = {(row.kind, row.prefix) for row in tariff.rows if row.valid(day)}
    return [
        each
        for each in DESTINATIONS[country]
        if tariff.covering(each.kind, each.prefix, day) is None
        and not any(kind == each.kind and prefix.startswith(each.prefix) for kind, prefix in valid)
    ]
