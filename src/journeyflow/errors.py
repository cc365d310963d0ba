"""Errors shown to users: one base class, stable codes, exit codes."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Exit codes of the command line; documented in `docs/reference/exit-codes.md`."""

    OK = 0
    FAILED = 1
    CONFIGURATION = 2
    INPUT = 3
    LOCKED = 4
    CHECK_FAILED = 5
    NOT_FOUND = 6
    ALERT = 7
    DIFFERENT = 8
    REFUSED = 9
    EMPTY_MAP = 10
    INTERRUPTED = 130


class JourneyflowError(Exception):
    """Base of every error shown to a user without a traceback.

    The message says what is wrong, where, what is allowed and what to do next. It never holds a row value or an id.
    """

    code: ClassVar[str] = "failed"
    exit_code: ClassVar[ExitCode] = ExitCode.FAILED

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ConfigError(JourneyflowError):
    """The configuration is invalid; the message lists every problem."""

    code = "configuration"
    exit_code = ExitCode.CONFIGURATION


class InputError(JourneyflowError):
    """An input file or folder is missing or cannot be read."""

    code = "input"
    exit_code = ExitCode.INPUT


class LockedError(JourneyflowError):
    """Another run holds the lock."""

    code = "locked"
    exit_code = ExitCode.LOCKED


class CheckFailedError(JourneyflowError):
    """A check of the built tables failed; nothing was published."""

    code = "check_failed"
    exit_code = ExitCode.CHECK_FAILED


class DifferenceError(JourneyflowError):
    """A published table differs from a rebuild."""

    code = "different"
    exit_code = ExitCode.DIFFERENT


class NotFoundError(JourneyflowError):
    """A requested table, funnel, event or person does not exist."""

    code = "not_found"
    exit_code = ExitCode.NOT_FOUND


class ModelError(JourneyflowError):
    """A model of `sql/` is invalid: unknown table, cycle, invalid metadata, unsupported SQL."""

    code = "model"
    exit_code = ExitCode.CONFIGURATION


class EngineError(JourneyflowError):
    """The database refused a statement; the message names the model."""

    code = "engine"
    exit_code = ExitCode.FAILED


def require_known(what: str, value: str, known: Sequence[str]) -> None:
    """Raise `NotFoundError`, which lists what exists and the nearest name, when `value` is not `known`."""
    if value in known:
        return
    like = get_close_matches(value, known, n=1)
    hint = f" Did you mean {like[0]!r}?" if like else ""
    raise NotFoundError(f"There is no {what} {value!r}; there is: {', '.join(known)}.{hint}")
