"""Builds the ways in for people: log-in, links, emergency access, an identity provider's word.

Promises that all of them share one throttle, and that each try is heard of by the audit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import web

from edge.access.basic import Basic
from edge.access.emergency import BreakGlass
from edge.access.factors import Factors
from edge.access.gate import Gate, People
from edge.access.links import Links
from edge.access.login import LogIn
from edge.access.oidc.channel import Channel, ShutChannel
from edge.access.oidc.login import ProviderLogIn
from edge.access.oidc.provider import Provider
from edge.access.oidc.sealing import Seal
from edge.access.oidc.vouching import Vouching
from edge.access.passkeys import Passkeys
from edge.access.proving import Proving
from edge.access.sessions import cookie_name
from edge.access.throttle import Throttle
from edge.admin.emergency import own_emergency_routes
from edge.admin.entrance import Entrance
from edge.admin.factors import factor_routes
from edge.admin.links import opening_routes
from edge.admin.login import log_in_routes
from edge.admin.login_witness import LogInWitness
from edge.admin.passkeys import passkey_routes
from edge.config import Config
from edge.crypto.secrets import PURPOSE, open_secrets
from edge.errors import SecretUnopened, StorageFull
from edge.opening import Cache
from edge.supervision import Supervisor

__all__ = ["LogInDoors", "log_in_doors", "provider_log_in"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogInDoors:
    """Where people log in."""

    door: Entrance
    throttle: Throttle
    witness: LogInWitness
    routes: Sequence[web.RouteDef]
    glass: BreakGlass
    links: Links


async def log_in_doors(cache: Cache, config: Config) -> LogInDoors:
    """Where people log in; every way in has one throttle."""
    tls = config.http.tls != "off"
    database, throttle, cookie = cache.database, Throttle(), cookie_name(tls=tls)
    proving = Proving(database, cache.passwords, throttle)
    people = People(Basic(database, proving, config.access), cache.sessions, throttle, cookie)
    gate = Gate(cache.tokens, required=config.http.auth == "required", people=people)
    factors = Factors(database, proving, throttle, config.access, box=config.appliance.name)
    login = LogIn(database, cache.users, cache.sessions, proving, factors, throttle)
    door = Entrance(gate, login, cache.sessions, cookie=cookie, tls=tls)
    witness = LogInWitness(cache.audit, gate)
    passkeys = Passkeys(database, factors, throttle, box=config.appliance.name)
    links = Links(database, cache.sessions, throttle, config.access)
    with suppress(StorageFull):
        await links.keep_to_limit()
    routes = [*log_in_routes(door), *factor_routes(door, factors), *passkey_routes(door, passkeys)]
    routes += opening_routes(door, links)
    glass = BreakGlass(database, cache.sessions, factors, cache.audit, config.access)
    own = own_emergency_routes(door, glass)  # which tells the record itself
    return LogInDoors(door, throttle, witness, [*witness.watch(routes), *own], glass, links)


async def provider_log_in(
    supervisor: Supervisor, cache: Cache, config: Config, throttle: Throttle
) -> ProviderLogIn:
    """Log-in at the identity provider, and what asks it again; nothing is asked of it yet.

    If a sealed secret for it can't be opened, nothing ever is: it lets nobody in, and who is in
    stays as long as if it were away.
    """
    secret, access = cache.keys.derive(PURPOSE), config.access
    channel: Channel = ShutChannel(access.oidc)
    try:
        access = await asyncio.to_thread(open_secrets, access, secret, "access")
        channel = Channel(access.oidc, lab=config.appliance.lab)
    except SecretUnopened as error:
        log.error("nobody can log in at the identity provider: %s; %s", error, error.hint)
    seal = Seal(cache.keys.derive("oidc"))
    provider = Provider(access.oidc, channel)
    means = cache.database, cache.sessions, provider, access, seal
    supervisor.start("oidc", Vouching(*means, cache.audit.put).run)
    return ProviderLogIn(*means, throttle)
