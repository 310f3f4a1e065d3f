"""What administrators change: licences, invitations, agents, sites, tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse

from licence_master.edges import documents
from licence_master.edges.assigning import assignment_orders, moved_views
from licence_master.edges.doorkeeper import Access, Rank, at_least, refuse_unknown_site
from licence_master.edges.orders import (
    ConvertOrder,
    Done,
    Failed,
    InstallOrder,
    InviteOrder,
    InviteReport,
    NewTokenReport,
    PoolChange,
    RemoveOrder,
    Restocked,
    TokenOrder,
    TokenReport,
    TransferOrder,
    WarningReport,
)
from licence_master.edges.people import user_routes
from licence_master.edges.problems import ProblemError
from licence_master.edges.terms import term_orders
from licence_master.service.administration import Document, Restocking
from licence_master.service.assignments import Reassigned
from licence_master.service.backups import Store
from licence_master.service.founding import Joining
from licence_master.service.installation import Installation
from licence_master.service.people.passwords import Passwords
from licence_master.service.told import leaving, views
from licence_master.store.credentials import Token
from licensing.codes import Code, Refusal, sentence
from licensing.files.inventory import Item
from licensing.rules import LicenceWarning


def changing_routes(
    installations: Mapping[str, Installation], joining: Joining, passwords: Passwords
) -> APIRouter:
    """The routes below an installation that change something."""
    routes = APIRouter()
    operator, admin = (Depends(at_least(installations, rank)) for rank in (Rank.OPERATOR, Rank.ADMIN))
    _licence_routes(routes, operator)
    assignment_orders(routes, operator)
    term_orders(routes, operator)
    _invite_routes(routes, operator, joining)
    _agent_routes(routes, operator)
    _token_routes(routes, admin)
    user_routes(routes, admin, passwords)
    _backup_route(routes, admin)
    return routes


def _licence_routes(routes: APIRouter, operator: Access) -> None:
    @routes.post("/licences", summary="Install inventories: all or nothing")
    async def install(access: Annotated[Access, operator], order: InstallOrder) -> Restocked:
        administration = access.installation.administration
        files = documents.documents(order, administration.roots)
        result = await administration.install(
            files, again=order.again, dry_run=order.dry_run, actor=access.caller.actor
        )
        if not isinstance(result, Restocking):
            raise await documents.blamed(result, files, order.again, administration)
        return _restocked(access, result, order.dry_run, files)

    @routes.post("/licences/remove", summary="Remove units; no registration ends")
    async def remove(access: Annotated[Access, operator], order: RemoveOrder) -> Restocked:
        item = Item(order.type, order.count, order.place, order.mac)
        result = await access.installation.administration.remove(
            [item], dry_run=order.dry_run, actor=access.caller.actor
        )
        return _restocked(access, result, order.dry_run)

    @routes.post("/licences/convert", summary="Make SMB-Port units Port units with their upgrade licences")
    async def convert(access: Annotated[Access, operator], order: ConvertOrder) -> Restocked:
        result = await access.installation.administration.convert(
            order.pool, dry_run=order.dry_run, actor=access.caller.actor
        )
        return _restocked(access, result, order.dry_run)

    @routes.post("/licences/transfer", summary="Move units to another place; no registration ends")
    async def transfer(access: Annotated[Access, operator], order: TransferOrder) -> Restocked:
        item = Item(order.type, order.count, order.from_place, order.mac)
        result = await access.installation.administration.transfer(
            item, order.to_place, dry_run=order.dry_run, actor=access.caller.actor
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

    @routes.post("/pbxs/{pbx}/fail", summary="Say that a PBX is out of service: standby takes over")
    async def fail(access: Annotated[Access, operator], pbx: str) -> Failed:
        found = await access.installation.administration.fail(pbx, access.caller.actor)
        if isinstance(found, Refusal):
            raise ProblemError(found)
        return Failed(warnings=_warnings(found))

    @routes.post("/pbxs/{pbx}/recover", summary="Say that it is in service again")
    async def recover(access: Annotated[Access, operator], pbx: str) -> Done:
        return _done(await access.installation.administration.recover(pbx, access.caller.actor))


def _token_routes(routes: APIRouter, admin: Access) -> None:
    @routes.get("/tokens", summary="Tokens of this installation, newest first")
    async def tokens(access: Annotated[Access, admin]) -> list[TokenReport]:
        return [_token(token) for token in access.installation.enrolment.tokens()]

    @routes.post("/tokens", summary="Make a token; its secret is shown once")
    async def make_token(access: Annotated[Access, admin], order: TokenOrder) -> NewTokenReport:
        refuse_unknown_site(access, order.role)
        issued = await access.installation.enrolment.issue_token(order.role, order.label, order.days)
        if isinstance(issued, Refusal):
            raise ProblemError(issued)
        return NewTokenReport(token=issued.secret, **_token(issued.token).model_dump())

    @routes.delete("/tokens/{id}", summary="End a token now")
    async def end_token(access: Annotated[Access, admin], id: str) -> TokenReport:  # noqa: A002
        ended = await access.installation.enrolment.revoke_token(id)
        if isinstance(ended, Refusal):
            raise ProblemError(ended)
        return _token(ended)


def _backup_route(routes: APIRouter, admin: Access) -> None:
    @routes.post(
        "/backup", summary="A whole store as one file, without keys", response_class=StreamingResponse
    )
    async def make_backup(access: Annotated[Access, admin], store: Store = "ledger") -> StreamingResponse:
        made = await access.installation.backups.make(access.caller.actor, store)
        if isinstance(made, Refusal):
            raise ProblemError(made)
        headers = {
            "Content-Length": str(made.size),
            "Content-Disposition": f'attachment; filename="{made.name}"',
        }
        return StreamingResponse(made.chunks(), headers=headers, media_type="application/vnd.sqlite3")


def _restocked(
    access: Access,
    result: Restocking | tuple[Refusal, ...],
    dry_run: bool,
    files: Sequence[Document] = (),
) -> Restocked:
    if not isinstance(result, Restocking):
        raise ProblemError(*result)
    answers, holdings = access.installation.answers, access.installation.history.holdings
    demands = answers.demands
    before = {view.pool: view for view in views.pools(result.before, demands)}
    after = {view.pool: view for view in views.pools(result.after, demands)}
    changed = [name for name in sorted(before | after) if before.get(name) != after.get(name)]
    gained, lost = moved_views(Reassigned(result.before, result.after))
    return Restocked(
        done=not dry_run,
        files=tuple(documents.report(each) for each in files if each.name not in result.skipped),
        skipped=result.skipped,
        pools=tuple(
            PoolChange(
                pool=name,
                before=before.get(name, views.no_pool(name)),
                after=after.get(name, views.no_pool(name)),
            )
            for name in changed
        ),
        warnings=_warnings(result.warnings),
        gained=gained,
        lost=lost,
        leaving=tuple(leaving.leaving(result.after, demands, answers.silent(), holdings)),
    )


def _warnings(found: Sequence[LicenceWarning]) -> tuple[WarningReport, ...]:
    return tuple(WarningReport(code=str(each.code), text=_text(each)) for each in found)


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
