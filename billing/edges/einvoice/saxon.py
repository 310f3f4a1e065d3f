"""The child process of schematron.py: documents in, findings out, as JSON on its standard streams.

The findings of the rules for CII have no `flag`, so every failed assert and every report counts.
"""

import json
import re
import sys
from xml.etree import ElementTree

from saxonche import PySaxonProcessor  # type: ignore[import-not-found]

SVRL = "{http://purl.oclc.org/dsdl/svrl}"
# Saxon's paths name the namespace of each step, and that it is the first of one.
TOO_MUCH = re.compile(r"\*:|\[namespace-uri\(\)='[^']*'\]|\[1\]")
FINDINGS = (f"{SVRL}failed-assert", f"{SVRL}successful-report")


def answer(svrl: str) -> dict[str, object]:
    """How many rules fired, and [rule, where, text] of all that they found."""
    report = ElementTree.fromstring(svrl)  # noqa: S314 - what Saxon made of our own XML
    found = [
        [
            element.get("id", "?"),
            TOO_MUCH.sub("", element.get("location", "?")),
            " ".join("".join(element.itertext()).split()),
        ]
        for element in report
        if element.tag in FINDINGS
    ]
    return {"fired": len(report.findall(f"{SVRL}fired-rule")), "found": found}


def main() -> None:
    """Compile once, transform each; any failure of Saxon's ends the process with its text."""
    asked = json.load(sys.stdin)
    with PySaxonProcessor(license=False) as saxon:
        stylesheet = saxon.new_xslt30_processor().compile_stylesheet(stylesheet_file=asked["stylesheet"])
        answers = [
            answer(stylesheet.transform_to_string(xdm_node=saxon.parse_xml(xml_text=xml)))
            for xml in asked["documents"]
        ]
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
