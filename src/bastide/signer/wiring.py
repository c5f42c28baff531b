"""Builds the signer from its settings, and runs it until it is told to stop."""

import asyncio
import fcntl
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from bastide.adapters.clock import SystemClock
from bastide.core.error import BastideError
from bastide.ports.clock import Clock
from bastide.ports.keys import KeyStore
from bastide.signer.authority import Authorities, establish, established, publish, with_later
from bastide.signer.config import SettingsWrong, SignerConfig
from bastide.signer.files import own_folder
from bastide.signer.journal import Journal
from bastide.signer.keyfile import KeyFile
from bastide.signer.listener import Listener
from bastide.signer.memory import Remembrance
from bastide.signer.offline import take_root_offline
from bastide.signer.service import Service

log = logging.getLogger("bastide.signer")


class SignerRunning(BastideError):
    """Two signers on one folder would each sign what the other does not know of."""

    code = "signer:running"


@asynccontextmanager
async def serving(config: SignerConfig, clock: Clock | None = None) -> AsyncIterator[Service]:
    """A signer that listens while the block runs."""
    clock = clock or SystemClock()
    own_folder(config.folder)
    lock = _only_one(config)
    try:
        store = key_store(config)
        executor = ThreadPoolExecutor(1, thread_name_prefix="token") if store.blocking else None
        authorities = establish(store, config.folder, clock.now(), secrets.token_bytes(48))
        memory = Remembrance()
        journal = Journal(config.folder, clock, memory)
        journal.open(authorities.described())
        established(config.folder)
        authorities = take_root_offline(store, authorities, config.data / "root-shares")
        authorities = with_later(authorities, memory.past.ceremonies)

        def published(installed: Authorities) -> None:
            publish(installed, config.trust)

        published(authorities)
        service = Service(store, authorities, journal, memory, config.limits, clock, executor, published)
        listener = Listener(service, config.socket)
        await listener.start()
        try:
            log.info("serving socket=%s journal_lines=%d", config.socket, journal.lines)
            yield service
        finally:
            await listener.close()
            await journal.close()
            if executor is not None:
                executor.shutdown()
            store.close()
    finally:
        os.close(lock)


async def run(config: SignerConfig) -> None:
    """Serves until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(config):
        _ready()
        await stop.wait()


def key_store(config: SignerConfig) -> KeyStore:
    """Where the settings say that the authority keys are."""
    if config.keys == "pkcs11":
        from bastide.adapters.pkcs11.token import TokenKeys  # loads the token's library: only where it is used

        assert config.pkcs11_pin_file is not None
        return TokenKeys(config.pkcs11_module, config.pkcs11_token, _secret(config.pkcs11_pin_file))
    passphrase = None if config.passphrase_file is None else _secret(config.passphrase_file)
    return KeyFile(config.folder / "keys.enc", passphrase)


def _secret(path: os.PathLike[str]) -> str:
    try:
        with open(path) as file:
            secret = file.read(4096).strip()
    except (OSError, ValueError) as error:
        raise SettingsWrong(f"The secret in {os.fspath(path)} cannot be read: {error}.") from error
    if not secret:
        raise SettingsWrong(f"The file {os.fspath(path)} should hold a secret, and is empty.")
    return secret


def _only_one(config: SignerConfig) -> int:
    lock = os.open(config.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise SignerRunning(
            f"Another signer runs on {config.folder}. Stop it first: there is one signer for one set of keys."
        ) from error
    return lock


def _ready() -> None:
    descriptor = os.environ.get("BASTIDE_READY_FD", "")  # noqa: TID251  # set by whoever started this process
    if descriptor.isdigit():
        with os.fdopen(int(descriptor), "w") as ready:
            ready.write("READY\n")
