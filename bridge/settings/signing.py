"""The configured secrets with which Twilio may sign requests.

`bridge.telephony.signature` checks signatures with these secrets.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

_NONE: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class SigningSecrets(NamedTuple):
    """The secrets with which Twilio may sign; several of each kind allow a rotation.

    A subaccount signs with its own token and never with the main account's token.
    `subaccounts` is keyed by AccountSid, `shared_keys` by the key's id.
    """

    auth_tokens: tuple[str, ...] = ()
    subaccounts: Mapping[str, tuple[str, ...]] = _NONE
    shared_keys: Mapping[str, tuple[str, ...]] = _NONE

    @property
    def all(self) -> tuple[str, ...]:
        """Every secret, for logs that must not show them."""
        return (
            *self.auth_tokens,
            *(one for of_one in self.subaccounts.values() for one in of_one),
            *(one for of_one in self.shared_keys.values() for one in of_one),
        )

    def of_account(self, account_sid: str) -> tuple[str, ...]:
        """Return the tokens of the account that a form names."""
        return self.subaccounts.get(account_sid, self.auth_tokens)

    def token_of(self, account_sid: str) -> str:
        """Return the token that an account's own requests carry; "" where there is
        none."""
        tokens = self.of_account(account_sid) if account_sid else ()
        return tokens[0] if tokens else ""

    @property
    def of_any_account(self) -> tuple[str, ...]:
        """Every auth token: a handshake does not name its account."""
        subaccounts = self.subaccounts.values()
        return (*self.auth_tokens, *(one for tokens in subaccounts for one in tokens))


def by_name(text: str) -> dict[str, tuple[str, ...]]:
    """Read "name=secret,name=secret"; a name that occurs twice has two secrets."""
    found: dict[str, tuple[str, ...]] = {}
    for pair in filter(None, text.split(",")):
        name, _, secret = pair.partition("=")
        found[name] = (*found.get(name, ()), secret)
    return found
