"""Errors of the database: what a log may say of them."""

import asyncpg

from crm.transient import in_short


def test_words_of_the_database_quote_the_row_and_are_not_logged():
    error = asyncpg.UniqueViolationError.new(
        {
            "C": "23505",
            "M": "duplicate key value violates unique constraint",
            "D": "Key (phone)=(+15550000001) already exists.",
            "n": "leads_phone_key",
        }
    )
    assert "+15550000001" in str(error)
    assert in_short(error) == "UniqueViolationError (23505) of leads_phone_key"


def test_rule_that_is_not_named_is_left_out():
    error = asyncpg.DataError.new({"C": "22000", "M": "wrong: Dana"})
    assert in_short(error) == "DataError (22000)"


def test_other_errors_keep_their_words():
    assert (
        in_short(ConnectionRefusedError("nobody")) == "ConnectionRefusedError: nobody"
    )
    assert in_short(TimeoutError()) == "TimeoutError"
