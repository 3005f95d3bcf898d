"""Beartype for test_typing.py, told that a whole number is a number, as type checkers say."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
