"""The 49 messages of RFC 4475 as bytes, by the names the RFC gives them."""

from tests.telephony.rfc4475 import invalid, semantics, valid
from tests.telephony.rfc4475.markup import expand

MESSAGES = {
    name: expand(text) for part in (valid, invalid, semantics) for name, text in part.MESSAGES.items()
}
