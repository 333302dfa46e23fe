"""Who may do what, where that is configured: everyone looks and infers, some annotate, some manage.

Defects of MONAI Label 0.8.5: roles are checked only with its own log-in, which works with no current PyJWT; and
`POST /reload`, which throws the running app away, asks for none.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from fastapi import Depends, FastAPI, HTTPException
from fastapi.routing import APIRoute
from monailabel.config import settings
from monailabel.endpoints.user import auth
from monailabel.endpoints.user.auth import DEFAULT_USER, RBAC, User
from monailabel.interfaces.utils.app import app_instance
from starlette.datastructures import Headers

from lib.options import Options
from lib.server.keys import ANNOTATE, MANAGE, ApiKey, find_key
from lib.server.patching import patch
from lib.server.users import user_name

__all__ = ["KEY_HEADER", "Access", "patch_reload", "patch_roles"]

KEY_HEADER = "X-API-Key"
GRANTED = {  # MONAI Label's roles, by ours
    ANNOTATE: (settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR,),
    MANAGE: (
        settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR,
        settings.MONAI_LABEL_AUTH_ROLE_REVIEWER,
        settings.MONAI_LABEL_AUTH_ROLE_ADMIN,
    ),
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Access:
    """Roles by the groups that a proxy names, and by keys. Where there are neither, everyone has all.

    Args:
        options: options of the app.
        keys: keys of programs.
    """

    options: Options
    keys: tuple[ApiKey, ...] = ()

    @property
    def configured(self) -> bool:
        """Whether roles are in force."""
        return bool(self.keys or self.options.group_header)

    def user(self, headers: Headers) -> User:
        """Tell who sends a request, and in which roles.

        Raises:
            HTTPException: 401 for a key that is none of ours.
        """
        sent = set(headers.getlist(KEY_HEADER)) if self.keys else set()
        if sent:
            key = find_key(self.keys, sent.pop()) if len(sent) == 1 else None
            if key is None:
                logger.warning("A request with an unknown API key was refused.")
                raise HTTPException(401, f"The key in the header {KEY_HEADER} is none of this server's.")
            return _user(f"key:{key.name}", (key.role,))
        return _user(user_name(headers, self.options.user_header), self._roles(headers))

    def _roles(self, headers: Headers) -> tuple[str, ...]:
        if not self.options.group_header:
            return (ANNOTATE,) if self.keys else (MANAGE,)
        values = headers.getlist(self.options.group_header)
        if len(values) != 1:  # none, or what a client sent beside the proxy's
            return ()
        groups = {group.strip() for group in values[0].split(",")}
        rules = ((MANAGE, self.options.manage_groups), (ANNOTATE, self.options.annotate_groups))
        return tuple(role for role, needed in rules if groups & set(needed))

    def check(self, user: User, needed: Iterable[str]) -> None:
        """Let a user pass who has one of MONAI Label's roles.

        Raises:
            HTTPException: 403.
        """
        if self.configured and not set(needed) & set(user.roles):
            role = ANNOTATE if set(needed) & set(GRANTED[ANNOTATE]) else MANAGE
            logger.warning("%r was refused what needs the role %s.", user.username, role)
            raise HTTPException(403, f"This needs the role {role}, which {user.username} does not have.")

    def roles(self, user: User) -> list[str]:
        """List the roles of a user, in our words."""
        return [role for role, granted in GRANTED.items() if set(granted) <= set(user.roles)]


def _user(name: str, roles: Iterable[str]) -> User:
    granted = {settings.MONAI_LABEL_AUTH_ROLE_USER, *(one for role in roles for one in GRANTED[role])}
    return DEFAULT_USER.model_copy(update={"username": name, "email": None, "name": name, "roles": sorted(granted)})


def patch_roles() -> None:
    """Check roles where they are configured."""
    patch(
        auth.RBAC,
        "__call__",
        _checked,
        takes="self user",
        defect="roles are checked only with MONAI Label's own log-in, which works with no current PyJWT",
    )


def _checked(original: Callable[[RBAC, User], Awaitable[User]]) -> Callable[[RBAC, User], Awaitable[User]]:
    async def check(self: RBAC, user: User) -> User:
        if not settings.MONAI_LABEL_AUTH_ENABLE and self.roles != "*":
            app_instance().access.check(user, [self.roles] if isinstance(self.roles, str) else self.roles)
        return await original(self, user)

    return check


def patch_reload(app: FastAPI) -> None:
    """Let `POST /reload` ask for the role manage."""
    for route in list(app.router.routes):
        if isinstance(route, APIRoute) and route.path == "/reload" and not route.dependencies:
            app.router.routes.remove(route)
            guard = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))
            app.add_api_route(
                "/reload", route.endpoint, methods=["POST"], dependencies=[guard], include_in_schema=False
            )
