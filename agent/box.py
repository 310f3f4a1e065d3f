"""What agent.yaml says of the box that licences are bound to: where it is, and what is stated of it."""

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, model_validator

from agent.endpoint import Address
from runtime.config import ConfigModel, ConfigPath, FieldError, checks_files
from runtime.credentials import out_of_reach

HTTPS = 443


def _ip(text: str) -> str:
    try:
        found = Address.parse(f"[{text}]:1" if ":" in text else f"{text}:1").ip
    except ValueError:
        found = None
    if found is None:
        raise ValueError(f'found "{text}"; write the IP address of the box on its own network')
    return str(found)


class DeviceCertificate(ConfigModel):
    """Who issues the certificates of devices, and the port where this one shows its own."""

    ca: ConfigPath
    port: Annotated[int, Field(ge=1, le=65_535)] = HTTPS

    @model_validator(mode="after")
    def _usable(self, info: ValidationInfo) -> "DeviceCertificate":
        if checks_files(info) and not out_of_reach(self.ca):
            from runtime.certificates import CertificateFileError, client_context  # only for who looks

            try:
                client_context(self.ca)
            except CertificateFileError as error:
                raise FieldError(str(error), "ca") from error
        return self


class BoxEntry(ConfigModel):
    """The box of one PBX; left out, it is where `sip.pbx` is.

    `statement` says who saw its MAC where and when, for a box that cannot be seen from here.
    """

    address: Annotated[str, AfterValidator(_ip)] | None = None
    certificate: DeviceCertificate | None = None
    statement: Annotated[str, StringConstraints(strip_whitespace=True, min_length=8, max_length=200)] = ""
