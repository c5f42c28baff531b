"""libnftables in this process: one handle for all changes, so that a change costs no start of a program."""

import ctypes
import json
from typing import Any

from bastide.core.error import Unavailable

_JSON, _STATELESS, _TERSE = 1 << 4, 1 << 1, 1 << 11
_LIBRARY = "libnftables.so.1"


class Handle:
    """The rules of the network namespace that the process is in. Not for several threads at once."""

    def __init__(self) -> None:
        try:
            library = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            raise Unavailable(
                "libnftables is not installed (Debian: libnftables1).", code="nftables:library:missing"
            ) from error
        library.nft_ctx_new.restype = ctypes.c_void_p
        library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        library.nft_ctx_get_output_buffer.restype = ctypes.c_char_p
        library.nft_ctx_new.argtypes = [ctypes.c_uint32]
        for name in ("nft_ctx_free", "nft_ctx_buffer_error", "nft_ctx_buffer_output"):
            getattr(library, name).argtypes = [ctypes.c_void_p]
        self._library = library
        self._changing = self._opened()

    def _opened(self) -> ctypes.c_void_p:
        context = ctypes.c_void_p(self._library.nft_ctx_new(0))
        self._library.nft_ctx_buffer_error(context)
        self._library.nft_ctx_buffer_output(context)
        return context

    def load(self, text: str) -> None:
        """Carries out the text as one transaction; ``Unavailable`` with the library's words, and then nothing changed."""
        self._run(self._changing, text, 0)

    def listing(self, family: str, table: str, *, elements: bool = True) -> list[dict[str, Any]]:
        """What a table holds, as libnftables JSON without counters; empty where there is no such table."""
        flags = _JSON | _STATELESS | (0 if elements else _TERSE)
        return self._json(f"list table {family} {table}", flags)

    def counters(self, family: str, table: str) -> list[dict[str, Any]]:
        """The rules of a table with their counters, without elements."""
        return self._json(f"list table {family} {table}", _JSON | _TERSE)

    def elements(self, family: str, table: str, name: str) -> list[Any]:
        """The elements of a set, as JSON."""
        found = self._json(f"list set {family} {table} {name}", _JSON | _STATELESS)
        return [element for one in found for element in one.get("set", {}).get("elem", [])]

    def _json(self, command: str, flags: int) -> list[dict[str, Any]]:
        # A handle of its own: one that listed a table reads it all again before each later change.
        context = self._opened()
        try:
            text = self._run(context, command, flags)
        except Unavailable as error:
            if "No such file" in error.sentence:
                return []
            raise
        finally:
            self._library.nft_ctx_free(context)
        found: list[dict[str, Any]] = json.loads(text)["nftables"] if text else []
        return found

    def _run(self, context: ctypes.c_void_p, text: str, flags: int) -> str:
        self._library.nft_ctx_output_set_flags(context, flags)
        failed = self._library.nft_run_cmd_from_buffer(context, text.encode())
        said = self._library.nft_ctx_get_output_buffer(context) or b""
        wrong = self._library.nft_ctx_get_error_buffer(context) or b""
        if failed:
            raise Unavailable(
                f"The kernel did not take the rules: {wrong.decode(errors='replace').strip()[:400]}",
                code="nftables:refused",
            )
        return str(said.decode())
