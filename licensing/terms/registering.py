"""The device register: what stands where, bought when, and its warranty (8.3)."""

from licensing.codes import Code, Refusal
from licensing.installation import normal_mac, printed_mac
from licensing.ledger import AnyEvent
from licensing.state import State
from licensing.terms import day
from licensing.terms.term_events import DeviceDropped, DeviceRegistered, WarrantyExtended
from licensing.terms.warranty import Device

MAX_DEVICES = 20_000


def register(
    state: State, mac: str, model: str, serial: str, bought_day: int, today: int
) -> list[AnyEvent] | Refusal:
    """Add a device, or correct what is known of it; codes: `invalid_request`, `too_large`."""
    plain = normal_mac(mac)
    if plain is None:
        return Refusal(Code.INVALID_REQUEST, f'"{mac}" is no MAC address')
    if bought_day > today:
        return Refusal(Code.INVALID_REQUEST, f"{day.shown(bought_day)} has not come yet")
    known = state.book.devices.get(plain)
    if known is None and len(state.book.devices) >= MAX_DEVICES:
        return Refusal(Code.TOO_LARGE, f"there are {MAX_DEVICES} devices already")
    device = Device(plain, model, serial, bought_day, today)
    if known is not None:
        device = Device(plain, model, serial, bought_day, known.known_day, known.extended)
    return [] if device == known else [DeviceRegistered(device)]


def extend(state: State, mac: str) -> list[AnyEvent] | Refusal:
    """Extend the warranty by 4 years to 5, which is done once (8.3, L.r32); `not_found`, `already_agreed`."""
    device = _device(state, mac)
    if isinstance(device, Refusal):
        return device
    if device.extended:
        until = day.shown(device.warranty_day)
        detail = f"the warranty of {printed_mac(device.mac)} was extended to {until}, which is the longest"
        return Refusal(Code.ALREADY_AGREED, detail)
    return [WarrantyExtended(device.mac)]


def drop(state: State, mac: str) -> list[AnyEvent] | Refusal:
    """Take a device out of the register; `not_found`."""
    device = _device(state, mac)
    return device if isinstance(device, Refusal) else [DeviceDropped(device.mac)]


def _device(state: State, mac: str) -> Device | Refusal:
    device = state.book.devices.get(normal_mac(mac) or "")
    return device or Refusal(Code.NOT_FOUND, f"no device {mac}", "See licence-master devices list.")
