"""What administrators change: licences, invitations, agents, sites, tokens."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends

from licence_master.edges import inventory
from licence_master.edges.doorkeeper import Access, Doorkeeper, Rank
from licence_master.edges.orders import (
    Done,
    InstallOrder,
    InviteOrder,
    InviteReport,
    NewTokenReport,
    PoolChange,
    RemoveOrder,
    Restocked,
    TokenOrder,
    TokenReport,
    WarningReport,
)
from licence_master.edges.problems import ProblemError
from licence_master.service import views
from licence_master.service.administration import Document, Restocking
from licence_master.service.founding import Joining
from licence_master.store.credentials import Token
from licensing.codes import Code, Refusal, sentence
from licensing.inventory import Item
from licensing.rules import LicenceWarning
from runtime.config import ConfigErrors


def changing_routes(doorkeeper: Doorkeeper, joining: Joining) -> APIRouter:
    """The routes below an installation that change something."""
    routes = APIRouter()
    operator, admin = Depends(doorkeeper.at_least(Rank.OPERATOR)), Depends(doorkeeper.at_least(Rank.ADMIN))
    _licence_routes(routes, operator)
    _invite_routes(routes, operator, joining)
    _agent_routes(routes, operator)
    _token_routes(routes, admin)
    return routes


def _licence_routes(routes: APIRouter, operator: Access) -> None:
    @routes.post("/licences", summary="Install inventories: all or nothing")
    async def install(access: Annotated[Access, operator], order: InstallOrder) -> Restocked:
        documents = [_document(file.name, file.content) for file in order.files]
        result = await access.installation.administration.install(
            documents, again=order.again, dry_run=order.dry_run, actor=access.caller.actor
        )
        return _restocked(access, result, order.dry_run)

    @routes.post("/licences/remove", summary="Remove units; no registration ends")
    async def remove(access: Annotated[Access, operator], order: RemoveOrder) -> Restocked:
        item = Item(order.type, order.count, order.place, order.mac)
        result = await access.installation.administration.remove(
            [item], dry_run=order.dry_run, actor=access.caller.actor
        )
        return _restocked(access, result, order.dry_run)


def _invite_routes(routes: APIRouter, operator: Access, joining: Joining) -> None:
    @routes.post("/invites", summary="Invite the agent of a PBX: single use, 30 minutes")
    async def invite(access: Annotated[Access, operator], order: InviteOrder) -> InviteReport:
        invited = await access.installation.enrolment.invite(order.pbx)
        if isinstance(invited, Refusal):
            raise ProblemError(invited)
        return InviteReport(
            pbx=invited.pbx,
            url=joining.url,
            pin=joining.pin,
            token=invited.secret,
            expires_ms=invited.expires_ms,
            command=f"pbx-agent join {joining.url} --token {invited.secret} --pin {joining.pin}",
        )


def _agent_routes(routes: APIRouter, operator: Access) -> None:
    @routes.post("/agents/{pbx}/revoke", summary="Refuse the key of an agent from now on")
    async def revoke(access: Annotated[Access, operator], pbx: str) -> Done:
        return _done(await access.installation.administration.revoke(pbx, access.caller.actor))

    @routes.post("/agents/{pbx}/confirm", summary="Say that the one agent running is the right one")
    async def confirm(access: Annotated[Access, operator], pbx: str) -> Done:
        return _done(await access.installation.administration.confirm_site(pbx, access.caller.actor))

    @routes.post("/agents/{pbx}/release-site", summary="Take a share back without asking the agent")
    async def release_site(access: Annotated[Access, operator], pbx: str) -> Done:
        return _done(await access.installation.administration.release_site(pbx, access.caller.actor))


def _token_routes(routes: APIRouter, admin: Access) -> None:
    @routes.get("/tokens", summary="Tokens of this installation, newest first")
    async def tokens(access: Annotated[Access, admin]) -> list[TokenReport]:
        return [_token(token) for token in access.installation.enrolment.tokens()]

    @routes.post("/tokens", summary="Make a token; its secret is shown once")
    async def make_token(access: Annotated[Access, admin], order: TokenOrder) -> NewTokenReport:
        issued = await access.installation.enrolment.issue_token(order.role, order.label, order.days)
        return NewTokenReport(token=issued.secret, **_token(issued.token).model_dump())

    @routes.delete("/tokens/{id}", summary="End a token now")
    async def end_token(access: Annotated[Access, admin], id: str) -> TokenReport:  # noqa: A002
        ended = await access.installation.enrolment.revoke_token(id)
        if isinstance(ended, Refusal):
            raise ProblemError(ended)
        return _token(ended)


def _document(name: str, content: str) -> Document:
    try:
        read = inventory.read(name, content.encode())
    except ConfigErrors as errors:
        found = [Refusal(Code.INVALID_REQUEST, str(error)) for error in errors.errors]
        raise ProblemError(*found, bad_data=True) from errors
    items = tuple(Item(row.type, row.count, row.place, row.mac) for row in read.rows)
    return Document(name, read.digest, items)


def _restocked(access: Access, result: Restocking | tuple[Refusal, ...], dry_run: bool) -> Restocked:
    if not isinstance(result, Restocking):
        raise ProblemError(*result)
    demands = access.installation.answers.demands
    before = {view.pool: view for view in views.pools(result.before, demands)}
    after = {view.pool: view for view in views.pools(result.after, demands)}
    changed = [name for name in sorted(before | after) if before.get(name) != after.get(name)]
    return Restocked(
        done=not dry_run,
        skipped=result.skipped,
        pools=tuple(
            PoolChange(
                pool=name,
                before=before.get(name, views.no_pool(name)),
                after=after.get(name, views.no_pool(name)),
            )
            for name in changed
        ),
        warnings=tuple(WarningReport(code=str(w.code), text=_text(w)) for w in result.warnings),
    )


def _text(warning: LicenceWarning) -> str:
    if warning.code is Code.TIER_BASE_MISSING:
        return f"{warning.pool} %{warning.tier}: have {warning.have} below it, need {warning.need}"
    return f"{warning.type}: {sentence(warning.code)}"


def _done(refusal: Refusal | None) -> Done:
    if refusal is not None:
        raise ProblemError(refusal)
    return Done()


def _token(token: Token) -> TokenReport:
    given = asdict(token)
    del given["hash"]
    return TokenReport(**given)
