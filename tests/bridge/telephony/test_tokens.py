"""Tokens are good once, for one call, for a short time."""

import pytest

from bridge.telephony.tokens import LIFETIME_S, TokenError, Tokens, new_key

SID = "CA" + "1" * 32
OTHER_SID = "CA" + "2" * 32


def test_token_is_taken_once():
    tokens = Tokens(new_key())
    token = tokens.issue(SID, now=10.0)

    tokens.redeem(token, SID, now=11.0)
    with pytest.raises(TokenError, match="used before"):
        tokens.redeem(token, SID, now=11.5)


def test_token_of_another_call_is_refused_and_stays_good():
    tokens = Tokens(new_key())
    token = tokens.issue(SID, now=10.0)

    with pytest.raises(TokenError, match="not one for this call"):
        tokens.redeem(token, OTHER_SID, now=11.0)
    tokens.redeem(token, SID, now=11.0)


def test_old_token_is_refused():
    tokens = Tokens(new_key())
    token = tokens.issue(SID, now=10.0)

    with pytest.raises(TokenError, match="5 s too old"):
        tokens.redeem(token, SID, now=10.0 + LIFETIME_S + 5.0)


def test_token_of_another_key_is_refused():
    token = Tokens(new_key()).issue(SID, now=10.0)

    with pytest.raises(TokenError):
        Tokens(new_key()).redeem(token, SID, now=10.0)


def test_two_processes_with_one_key_know_each_others_tokens():
    key = new_key()

    Tokens(key).redeem(Tokens(key).issue(SID, now=10.0), SID, now=10.0)


def test_expiry_cannot_be_moved():
    tokens = Tokens(new_key())
    expires_ms, nonce, mac = tokens.issue(SID, now=10.0).split(".")

    with pytest.raises(TokenError):
        tokens.redeem(f"{int(expires_ms) + 1}.{nonce}.{mac}", SID, now=10.0)


@pytest.mark.parametrize("token", ["", ".", "..", "x.y.z", "é.é.é", "\udcff", "1" * 9])
def test_any_text_is_refused_quietly(token):
    with pytest.raises(TokenError):
        Tokens(new_key()).redeem(token, SID, now=0.0)


def test_used_tokens_are_forgotten_when_they_would_not_pass_any_more():
    tokens = Tokens(new_key())
    for second in range(200):
        tokens.redeem(tokens.issue(SID, float(second)), SID, float(second))

    assert len(tokens._used) <= LIFETIME_S
