"""Strict YAML (reliability.md section 8): every trap is an error at its place, in words that help."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

import pytest
from pydantic import BeforeValidator, Field, field_validator, model_validator

from runtime.config import (
    ConfigErrors,
    ConfigModel,
    ConfigPath,
    FieldError,
    load,
    parse,
    schema,
)
from runtime.credentials import out_of_reach


class Pool(ConfigModel):
    name: str
    total: int = 0


class Pbx(ConfigModel):
    name: str
    mac: str = ""
    role: Literal["master", "slave"] = "slave"

    @field_validator("mac")
    @classmethod
    def _mac(cls, value: str) -> str:
        if len(value) not in (0, 17):
            raise ValueError(f'"{value}" is not a MAC; write six pairs of digits')
        return value


class Site(ConfigModel):
    listen: str = ""
    data: ConfigPath = Path("data")
    strict: bool = False
    pools: tuple[Pool, ...] = ()
    pbxs: tuple[Pbx, ...] = ()
    linger_s: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    grace: int | Literal["never"] = 30
    admin_token: int = 0

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        seen = set[str]()
        for index, pool in enumerate(self.pools):
            if pool.name in seen:
                raise FieldError(f'"{pool.name}" is the name of another pool', "pools", index, "name")
            seen.add(pool.name)
        return self


def errors(text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        parse(text, "master.yaml", Site)
    return [str(error) for error in caught.value.errors]


def error(text: str) -> str:
    (only,) = errors(text)
    return only


def test_the_example_of_the_design_word_for_word() -> None:
    text = """\
data: x
listen: "0.0.0.0:1"
pools:
  - {total: "500", name: a}
  - total: 3
    name: NO
    totl: 5
pbxs:
  - mac: 10:20:30:40:50:10
    name: hq


listen: again
"""
    with pytest.raises(ConfigErrors) as caught:
        parse(text, "master.yaml", Site)
    assert caught.value.report("nothing was started") == "\n".join(
        (
            'master.yaml:4:13: pools[0].total: expected a whole number, found the text "500"; '
            "write 500 without quotes",
            'master.yaml:6:11: pools[1].name: expected text, found false (YAML reads NO so); write "NO"',
            'master.yaml:7:5:  pools[1].totl: unknown key; did you mean "total"?',
            "master.yaml:9:10: pbxs[0].mac: 10:20:30:40:50:10 is the number 8041827010 to YAML; "
            'write "10-20-30-40-50-10"',
            "master.yaml:13:1: listen: set twice, first at line 2",
            "5 errors; nothing was started",
        )
    )


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("NO", "false (YAML reads NO so)"),
        ("Off", "false (YAML reads Off so)"),
        ("on", "true (YAML reads on so)"),
        ("true", "true"),
        ("22:22", "the number 1342 (YAML reads 22:22 so)"),
        ("8:00", "the number 480 (YAML reads 8:00 so)"),
        ("12:30:45", "the number 45045 (YAML reads 12:30:45 so)"),
        ("0123", "the number 83 (YAML reads 0123 so)"),
        ("003361234", "the number 909980 (YAML reads 003361234 so)"),
        ("0612345670", "the number 103402424 (YAML reads 0612345670 so)"),
        ("+33612345678", "the number 33612345678 (YAML reads +33612345678 so)"),
        ("201", "the number 201"),
        ("0.015", "the number 0.015"),
        ("1.10", "the number 1.1 (YAML reads 1.10 so)"),
        (".inf", "the number inf (YAML reads .inf so)"),
        ("1_000", "the number 1000 (YAML reads 1_000 so)"),
        ("0x1F", "the number 31 (YAML reads 0x1F so)"),
        ("2026-10-01", "the date 2026-10-01"),
        ("2026-13-45", "a date that does not exist (YAML reads 2026-13-45 so)"),
        ("2026-10-01 10:00:00", "a date and time (YAML reads 2026-10-01 10:00:00 so)"),
        ("=", "a special value (YAML reads = so)"),
        ("~", "null (YAML reads ~ so)"),
        ("null", "nothing (null)"),
    ],
)
def test_a_text_is_plain_only_where_yaml_reads_a_text_too(written: str, found: str) -> None:
    assert error(f"listen: {written}") == (
        f'master.yaml:1:9: listen: expected text, found {found}; write "{written}"'
    )
    assert parse(f'listen: "{written}"', "f", Site).listen == written


@pytest.mark.parametrize("written", ["0891", "0612345678", "2026-10", "lyon", "a.b:5060", "y", "n", "1e3"])
def test_what_yaml_reads_as_text_is_text(written: str) -> None:
    assert parse(f"listen: {written}", "f", Site).listen == written


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("10:20:30:40:50:10", "10:20:30:40:50:10 is the number 8041827010 to YAML"),
        (
            "00:90:33:01:02:03",
            "00:90:33:01:02:03 is a MAC without quotes, and YAML reads some of those as numbers",
        ),
        (
            "00-90-33-0a-0b-0c",
            "00-90-33-0a-0b-0c is a MAC without quotes, and YAML reads some of those as numbers",
        ),
    ],
)
def test_a_mac_without_quotes_is_always_an_error(written: str, message: str) -> None:
    right = written.replace(":", "-")
    assert error(f"pbxs: [{{name: hq, mac: {written}}}]") == (
        f'master.yaml:1:24: pbxs[0].mac: {message}; write "{right}"'
    )
    assert error(f"linger_s: {{{written}: 5}}").endswith(f'{message}; write "{right}"')
    assert parse(f"pbxs: [{{name: hq, mac: '{written}'}}]", "f", Site).pbxs[0].mac == written


@pytest.mark.parametrize(
    ("written", "found", "advice"),
    [
        ("yes", "true (YAML reads yes so)", "write true"),
        ("Off", "false (YAML reads Off so)", "write false"),
        ("True", "true (YAML reads True so)", "write true"),
        ('"true"', 'the text "true"', "write true without quotes"),
        ("1", "the number 1", ""),
    ],
)
def test_booleans_are_true_and_false_only(written: str, found: str, advice: str) -> None:
    end = f"; {advice}" if advice else ""
    assert (
        error(f"strict: {written}") == f"master.yaml:1:9: strict: expected true or false, found {found}{end}"
    )
    assert parse("strict: true", "f", Site).strict is True


@pytest.mark.parametrize(
    ("written", "end"),
    [
        ("0x1F", "the number 31 (YAML reads 0x1F so); write 31"),
        ("0123", "the number 83 (YAML reads 0123 so); write 123, or 83 if octal was meant"),
        ("1_000", "the number 1000 (YAML reads 1_000 so); write 1000"),
        ("22:22", "the number 1342 (YAML reads 22:22 so); write 1342"),
        ("5.0", "the number 5.0"),
        ("true", "true"),
        ("many", 'the text "many"'),
        ("[1]", "a list"),
        ("{a: 1}", "keys and values"),
    ],
)
def test_a_whole_number_is_written_in_plain_digits(written: str, end: str) -> None:
    text = f"pools: [{{name: a, total: {written}}}]"
    assert error(text) == f"master.yaml:1:26: pools[0].total: expected a whole number, found {end}"


def test_negative_and_zero_are_plain_numbers() -> None:
    assert [
        p.total for p in parse("pools: [{name: a, total: -5}, {name: b, total: 0}]", "f", Site).pools
    ] == [
        -5,
        0,
    ]


def test_duplicate_keys_name_the_first_line_also_below_and_across_spellings() -> None:
    assert errors("linger_s:\n  a: 1\n  b: 2\n  'a': 3\nlinger_s: {}\nlinger_s: {}\n") == [
        "master.yaml:4:3: linger_s.a: set twice, first at line 2",
        "master.yaml:5:1: linger_s: set twice, first at line 1",
        "master.yaml:6:1: linger_s: set twice, first at line 1",
    ]


def test_a_duplicate_key_hides_no_error_of_its_first_value() -> None:
    assert errors("listen: 5\nlisten: 6\n") == [
        'master.yaml:1:9: listen: expected text, found the number 5; write "5"',
        "master.yaml:2:1: listen: set twice, first at line 1",
    ]


def test_a_misspelt_required_key_is_one_error_and_a_missing_one_stands_at_its_mapping() -> None:
    assert errors("pbxs:\n  - nam: hq\n  - role: slave\n") == [
        'master.yaml:2:5: pbxs[0].nam: unknown key; did you mean "name"?',
        "master.yaml:3:5: pbxs[1].name: missing; add it",
    ]
    assert error("zzz: 1") == "master.yaml:1:1: zzz: unknown key"


def test_the_words_of_a_validator_come_through_at_its_value() -> None:
    assert error("pbxs:\n- name: hq\n  mac: 'ab'\n") == (
        'master.yaml:3:8: pbxs[0].mac: "ab" is not a MAC; write six pairs of digits'
    )


def test_a_model_validator_can_name_a_place_below() -> None:
    assert error("pools:\n- name: a\n- name: a\n") == (
        'master.yaml:3:9: pools[1].name: "a" is the name of another pool'
    )


def test_choices_bounds_unions_and_keys() -> None:
    assert errors("linger_s: {user: -1, 5: 1, on: 1}\ngrace: soon\npbxs:\n- {name: a, role: slav}\n") == [
        "master.yaml:1:18: linger_s.user: expected at least 0, found the number -1",
        'master.yaml:1:22: linger_s[5]: expected text as key, found the number 5; write "5"',
        'master.yaml:1:28: linger_s.on: expected text as key, found true (YAML reads on so); write "on"',
        'master.yaml:2:8: grace: expected a whole number or never, found the text "soon"',
        'master.yaml:4:19: pbxs[0].role: expected master or slave, found the text "slav"; '
        'did you mean "slave"?',
    ]


def test_what_a_file_must_not_hold_secrets_of() -> None:
    assert "hunter2" not in error("admin_token: hunter2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("listen: &a x", "1:9: listen: &a is an anchor; write the value where it is needed"),
        ("listen: !!str 5", "1:9: listen: tag:yaml.org,2002:str is a tag; write the value alone"),
        ("listen: !x 5", "1:9: listen: !x is a tag; write the value alone"),
        ("? [a]\n: 5", '1:3: ["?"]: expected text as key, found a list or keys and values'),
        ("<<: {listen: x}", '1:1: ["<<"]: << merges keys; write the keys themselves'),
        ("[]", "1:1: expected keys and values, found a list"),
        ("5", "1:1: expected keys and values, found the number 5"),
        ("", "1:1: nothing in it; expected keys and values"),
        ("---\na: 1\n---\nb: 1", "3:1: expected a single document in the stream, but found another document"),
        ("a: [", "1:5: while parsing a flow node, expected the node content, but found '<stream end>'"),
        ("a: \x00", "1:1: a character that YAML does not allow: special characters are not allowed"),
    ],
)
def test_yaml_beyond_plain_data_is_refused(text: str, message: str) -> None:
    assert error(text) == f"master.yaml:{message}"


def test_an_alias_is_refused_where_it_stands() -> None:
    text = "pools: &p [{name: a}]\npbxs: *p\n"
    assert errors(text) == [
        "master.yaml:1:8: pools: &p is an anchor; write the value where it is needed",
        "master.yaml:2:7: pbxs: *p is an alias; write the value itself",
    ]


def test_a_bomb_of_aliases_is_refused_without_being_unfolded() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert len(errors("\n".join(rows))) == 10 + 81 + 10  # anchors, aliases, unknown keys


def test_depth_and_size_and_length_of_numbers_are_bounded() -> None:
    assert "nested deeper than 32 levels" in error("a: " + "[" * 5_000)
    assert (
        error("listen: " + "x" * 1_048_576)
        == "master.yaml:1:1: larger than 1024 KiB; remove what is not used"
    )
    assert "found a very long number" in error("listen: " + "1:" * 10_000 + "1")
    assert "found a very long number" in error("grace: " + "9" * 10_000)


def test_a_value_of_any_type_is_no_way_around() -> None:
    class Loose(ConfigModel):
        anything: object

    with pytest.raises(ConfigErrors) as caught:
        parse("anything: [0123]", "f", Loose)
    assert str(caught.value) == 'f:1:12: anything[0]: 0123 is the number 83 to YAML; write "0123"'


def test_decimals_are_quoted_and_go_through_a_validator() -> None:
    def decimal(value: object) -> object:
        if not isinstance(value, str):
            raise ValueError("write the decimal in quotes")  # noqa: TRY004 - pydantic wants ValueError
        return Decimal(value)

    class Price(ConfigModel):
        price: Annotated[Decimal, BeforeValidator(decimal)]

    assert parse('price: "0.10"', "f", Price).price == Decimal("0.10")
    with pytest.raises(ConfigErrors, match=r"f:1:8: price: write the decimal in quotes"):
        parse("price: 0.10", "f", Price)


def test_a_label_of_a_union_is_not_taken_for_a_key() -> None:
    class Register(ConfigModel):
        kind: Literal["register"] = "register"
        register_: str = Field(alias="register")
        device: str = ""

    class Unregister(ConfigModel):
        kind: Literal["unregister"]
        unregister: str

    class Steps(ConfigModel):
        steps: tuple[Annotated[Register | Unregister, Field(discriminator="kind")], ...]

    with pytest.raises(ConfigErrors) as caught:
        parse(
            "steps:\n- {kind: register, register: u1, device: 5}\n- {kind: unregister}\n"
            "- {devise: x, kind: register, register: y}\n",
            "f",
            Steps,
        )
    assert str(caught.value).splitlines() == [
        'f:2:42: steps[0].device: expected text, found the number 5; write "5"',
        "f:3:3:  steps[1].unregister: missing; add it",
        'f:4:4:  steps[2].devise: unknown key; did you mean "device"?',
    ]


def test_load_counts_paths_from_the_file_and_names_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "master.yaml"
    file.write_text("data: store\n")
    assert load(file, Site).data == tmp_path / "store"
    file.write_text("data: /var/lib/x\n")
    assert load(file, Site).data == Path("/var/lib/x")
    with pytest.raises(ConfigErrors, match="cannot be read: No such file"):
        load(tmp_path / "none.yaml", Site)
    file.write_bytes(b"data: x\nlisten: caf\xe9\n")
    with pytest.raises(ConfigErrors, match=r"master.yaml:2:12: not UTF-8"):
        load(file, Site)


def test_models_are_frozen_and_described_for_editors() -> None:
    site = parse("listen: x", "f", Site)
    with pytest.raises(ValueError, match="frozen"):
        site.listen = "y"
    described = schema(Site)
    assert described["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert described["additionalProperties"] is False
    properties = described["properties"]
    assert isinstance(properties, dict)
    assert properties["data"]["type"] == "string"


def test_a_path_may_be_a_credential_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x.service")
    site = parse('data: "credential:tls.key"', "master.yaml", Site)
    assert site.data == Path("/run/credentials/x.service/tls.key")
    assert error('data: "credential:../tls.key"') == (
        'master.yaml:1:7: data: expected the name of a credential, as in "credential:tls.key",'
        ' found "credential:../tls.key"'
    )
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert out_of_reach(parse('data: "credential:tls.key"', "master.yaml", Site).data)
