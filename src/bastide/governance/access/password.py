"""Passwords: length and guesses count, composition rules do not (NIST SP 800-63B 5.1.1.2); argon2id at rest (RFC 9106).

At least 12 and at most 256 characters after NFKC, not one of the common ones, not the account's or the product's name, not a
short pattern repeated or a run along the keyboard. No expiry, no forced symbols.
"""

from dataclasses import dataclass
from unicodedata import normalize

from bastide.governance.access.error import AccessRefused

SHORTEST = 12
LONGEST = 256
FEWEST_DIFFERENT = 6


@dataclass(frozen=True, slots=True)
class Hardness:
    """Parameters of argon2id. A stored hash with weaker ones is replaced at the next sign-in."""

    memory_kib: int
    passes: int
    lanes: int


# RFC 9106 section 4, second recommended option (64 MiB, three passes), with one lane: sign-ins are rare, and the machine
# may have two cores that ingest needs.
ARGON2ID = Hardness(memory_kib=64 * 1024, passes=3, lanes=1)

# Long enough to pass the length rule and still among the first that a guesser tries. Compared without case, and with the
# usual substitutions undone.
_COMMON_WORDS = """
    password1234 password12345 password123456 passwordpassword mypassword123 adminpassword administrator administrator1
    welcome12345 welcome123456 changeme1234 changemenow12 letmein12345 letmeinletmein qwertyuiop12 qwertyuiop123
    iloveyou1234 iloveyouforever sunshine1234 princess1234 football1234 baseball1234 superman1234 batman123456
    dragon123456 master123456 monkey123456 shadow123456 michael12345 jennifer1234 trustno1trustno1 whatever1234
    starwars1234 computer1234 internet1234 samsung12345 security1234 defaultpassword correcthorsebatterystaple
    thisisapassword thisismypassword passw0rdpassw0rd secretsecret supersecret123
    topsecret1234 temporary1234 temppassword1 newpassword12 newpassword123 testpassword1 testtesttest guestguest12
    rootrootroot adminadmin12 adminadmin123 adminadminadmin operator1234 operatoroperator raspberrypi1 ubntubntubnt
    hikvision1234 dahua1234567 xc3511xc3511 vizxvvizxv12 juantechjuantech klv1234klv1234 company12345 winter202420
    summer202520 spring202520 autumn202520 letmeinplease openseasame1 opensesame123 abcdefghijkl abcd12345678 a1b2c3d4e5f6
    1q2w3e4r5t6y 1qaz2wsx3edc qazwsxedcrfv zaq12wsxcde3 q1w2e3r4t5y6 asdfghjkl123 zxcvbnm12345 123qweasdzxc 123456789012
    1234567890123 12345678901234 123456789123 987654321098 0987654321qw 112233445566 121212121212 123123123123 111222333444
"""
_COMMON = frozenset(_COMMON_WORDS.split()) | {"correct horse battery staple"}

_LEET = str.maketrans("0134578@$!", "oleastbasi")
_RUNS = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
)


def prepared(password: str) -> str:
    """The form that is hashed: NFKC, so that the same typed characters are the same on every system."""
    return normalize("NFKC", password)


def check(password: str, account: str) -> None:
    """Raises where the password may not be used for the account."""
    text = prepared(password)
    if not SHORTEST <= len(text) <= LONGEST:
        raise _refused(
            f"A password has {SHORTEST} to {LONGEST} characters; this one has {len(text)}. Several words are easy to keep."
        )
    lower = text.lower()
    plain = lower.translate(_LEET)
    if lower in _COMMON or plain in {word.translate(_LEET) for word in _COMMON}:
        raise _refused("This password is on the lists that guessers try first; choose another.")
    if len(set(lower)) < FEWEST_DIFFERENT or _repeats(lower) or _runs(lower):
        raise _refused(
            "This password is a pattern that is guessed early; choose several words that do not belong together."
        )
    rest = plain
    for word in ("bastide", account.lower().translate(_LEET)):
        rest = rest.replace(word, "") if len(word) >= 4 else rest
    if len(rest) < SHORTEST - 4:
        raise _refused("This password is little more than the account's or the product's name; choose another.")


def _refused(sentence: str) -> AccessRefused:
    return AccessRefused(sentence, code="access:password:weak")


def _repeats(text: str) -> bool:
    """True where a piece of at most a third of the text, repeated, makes it up."""
    return any(text == (text[:size] * len(text))[: len(text)] for size in range(1, len(text) // 3 + 1))


def _runs(text: str) -> bool:
    """True where one run of neighbouring keys or letters, forward or back, is all but three of the characters."""
    window = len(text) - 3
    pieces = [text[start : start + window] for start in range(4)]
    return any(piece in run or piece in run[::-1] for run in _RUNS for piece in pieces)
