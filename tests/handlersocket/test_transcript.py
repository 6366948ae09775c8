"""What the server answers to each kind of request: another version that answers otherwise shows up here.

Several of these answers say success where something was lost. The client refuses to ask for those,
so they are asked in plain bytes. Tokens are apart by spaces here; '' is an empty token, NULL a bare
0x00, ~ stands for a space.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import BinaryIO

import pytest

from ..support.mariadb_server import MariaDBServer

EXCHANGES = {
    "authentication": """
        fence                                       -> 2 1 cmd
        0 = 1 a                                     -> 3 1 unauth
        P 0 other people PRIMARY id                 -> 3 1 unauth
        A 1 wrong                                   -> 3 1 unauth
        A 2 SECRET                                  -> 3 1 authtype
        A 1 SECRET                                  -> 0 1
        P 0 other people PRIMARY id                 -> 0 1
        0 = 1 a                                     -> 0 1
        A 1 wrong                                   -> 3 1 unauth
        0 = 1 a                                     -> 3 1 unauth
    """,
    "opening": """
        A 1 SECRET                                  -> 0 1
        P 0 other people PRIMARY id,name amount     -> 0 1
        P 0 other people PRIMARY id                 -> 0 1
        P 0 other people nothing id                 -> 2 1 idxnum
        P 0 other people PRIMARY nothing            -> 2 1 fld
        P 0 other people PRIMARY id nothing         -> 2 1 fld
        P 0 other nothing PRIMARY id                -> 1 1 open_table
        P 0 nothing people PRIMARY id               -> 1 1 open_table
        0 = 1 a                                     -> 0 1
        1 = 1 a                                     -> 2 1 stmtnum
        P 65535 other people PRIMARY id             -> 0 1
        P 2 other people PRIMARY ''                 -> 0 1
    """,
    "requests that are none": """
        A 1 SECRET                                  -> 0 1
        P 0 other people PRIMARY id,name amount,name -> 0 1
        ''                                          -> 2 1 cmd
        garbage                                     -> 2 1 cmd
        fence                                       -> 2 1 cmd
        X 1                                         -> 2 1 cmd
        -1 = 1 a                                    -> 2 1 cmd
        P 0                                         -> 1 1 open_table
        0 ? 1 a                                     -> 2 1 op
        0 = 0                                       -> 2 1 klen
        0 = 2 a b                                   -> 2 1 kpnum
        0 = 1 a 1 0 Z b                             -> 2 1 modop
        0 + 0                                       -> 2 1 klen
        0 = 1 a 1 0 @ 0 0                           -> 2 1 invalueslen
        0 = 1 a 1 0 F = 9 b                         -> 2 1 filterfld
    """,
    "inserting": """
        A 1 SECRET                                  -> 0 1
        P 0 other people PRIMARY id,name,amount,note -> 0 1
        0 + 4 a x 1 NULL                            -> 0 1
        0 + 4 a x 1 NULL                            -> 1 1 121
        0 = 1 a                                     -> 0 4 a x 1 NULL
        0 + 2 b x                                   -> 0 1
        0 = 1 b                                     -> 0 4 b x 0 ''
        0 + 4 NULL NULL NULL NULL                   -> 0 1
        0 = 1 ''                                    -> 0 4 '' '' 0 NULL
        0 = 1 NULL                                  -> 0 4 '' '' 0 NULL
        0 + 6 c x 1 y 2 z                           -> 0 1
        0 = 1 c                                     -> 0 4 c x 1 y
    """,
    "what doesn't fit": """
        A 1 SECRET                                  -> 0 1
        P 0 other people PRIMARY id,name,amount,note -> 0 1
        0 + 4 12345678901234567 x 1 y               -> 0 1
        0 = 1 1234567890123456789                   -> 0 4 1234567890123456 x 1 y
        0 + 4 a 123456789012345678901 1 y           -> 0 1
        0 = 1 a                                     -> 0 4 a 12345678901234567890 1 y
        0 + 4 b x 12abc y                           -> 0 1
        0 = 1 b                                     -> 0 4 b x 12 y
        0 + 4 c x 99999999999999999999999 y         -> 0 1
        0 = 1 c                                     -> 0 4 c x 9223372036854775807 y
    """,
    "finding": """
        A 1 SECRET                                  -> 0 1
        P 0 other people PRIMARY id,amount amount,id -> 0 1
        0 + 2 a 1                                   -> 0 1
        0 + 2 b 2                                   -> 0 1
        0 + 2 c 3                                   -> 0 1
        0 = 1 b                                     -> 0 2 b 2
        0 = 1 b\r                                   -> 0 2 b 2
        0 >= 1 b 0 0                                -> 0 2 b 2
        0 >= 1 b 1                                  -> 0 2 b 2
        0 >= 1 a 9 1                                -> 0 2 b 2 c 3
        0 = 1 '' 9 0 @ 0 3 a x c                    -> 0 2 a 1 c 3
        0 = 1 '' 1 0 @ 0 3 a x c                    -> 0 2 a 1
        0 = 1 b 9 0 @ 3 1 a                         -> 0 2 b 2
        0 >= 1 '' 9 0 @ 0 2 a b                     -> 0 2 a 1 b 2
        0 >= 1 '' 9 0 F >= 0 2                      -> 0 2 b 2 c 3
        0 >= 1 '' 9 0 W < 0 2                       -> 0 2 a 1
        0 >= 1 '' 9 0 F != 1 b                      -> 0 2 a 1 c 3
        0 >= 1 '' 9 0 F ? 0 2                       -> 0 2
        0 >= 1 '' 9 0 F = 0 2abc                    -> 0 2 b 2
    """,
    "changing": """
        A 1 SECRET                                  -> 0 1
        P 0 other people PRIMARY id,name,amount,note amount -> 0 1
        0 + 4 a x 1 y                               -> 0 1
        0 + 4 b x 2 y                               -> 0 1
        0 = 1 a 1 0 U a x 1 y                       -> 0 1 1
        0 = 1 z 1 0 U z x 1 y                       -> 0 1 0
        0 = 1 a 1 0 F = 0 5 U a x 9 y               -> 0 1 0
        0 = 1 a 1 0 U? a new 5 NULL                 -> 0 4 a x 1 y
        0 = 1 z 1 0 U? a new 5 NULL                 -> 0 4
        0 = 1 a 1 0 U? NULL NULL 7 y                -> 0 4 a new 5 NULL
        0 = 1 a                                     -> 0 4 a new 7 y
        0 = 1 a 1 0 U b x 1 y                       -> 1 1 121
        0 = 1 a 1 0 U c x 1 y                       -> 0 1 1
        0 = 1 a                                     -> 0 4
        0 = 1 c 1 0 U c new                         -> 0 1 1
        0 = 1 c                                     -> 0 4 c new 0 ''
        0 = 1 c 1 0 U                               -> 0 1 1
        0 = 1 ''                                    -> 0 4 '' '' 0 ''
        0 = 1 b 1 0 D?                              -> 0 4 b x 2 y
        0 = 1 b 1 0 D                               -> 0 1 0
        0 = 1 '' 1 0 D                              -> 0 1 1
    """,
    "adding": """
        A 1 SECRET                                  -> 0 1
        P 0 other people PRIMARY id,name,amount,note -> 0 1
        P 1 other people PRIMARY amount             -> 0 1
        P 2 other people PRIMARY name               -> 0 1
        0 + 4 a word 1 y                            -> 0 1
        1 = 1 a 1 0 + 5                             -> 0 1 1
        1 = 1 a 1 0 - 10                            -> 0 1 0
        1 = 1 a 1 0 -? 10                           -> 0 1 6
        1 = 1 a 1 0 -? 6                            -> 0 1 6
        1 = 1 a 1 0 - 1                             -> 0 1 1
        1 = 1 a 1 0 + 10                            -> 0 1 1
        1 = 1 a 1 0 +? NULL                         -> 0 1 9
        1 = 1 a 1 0 + -4                            -> 0 1 1
        1 = 1 a 1 0 + abc                           -> 0 1 1
        1 = 1 a                                     -> 0 1 5
        2 = 1 a 1 0 + 1                             -> 0 1 1
        0 = 1 a                                     -> 0 4 a 1 5 y
    """,
    "numbers that the server gives, and text": """
        A 1 SECRET                                  -> 0 1
        P 0 other things PRIMARY id,name,amount,picture picture -> 0 1
        P 1 other things PRIMARY name,amount        -> 0 1
        P 2 other things name id,name               -> 0 1
        1 + 2 x 5                                   -> 0 1 1
        0 + 4 0 y 1 blob                            -> 0 1 2
        0 + 4 2 y 1 blob                            -> 1 1 167
        0 >= 1 0 9 0                                -> 0 4 1 x 5 '' 2 y 1 blob
        0 >= 1 0 9 0 F = 0 blob                     -> 2 1 filterblob
        2 = 1 X~                                    -> 0 2 1 x
    """,
}

READ_ONLY = """
        A 1 SECRET                                  -> 0 1
        P 0 other people PRIMARY id,name            -> 0 1
        0 + 2 a b                                   -> 2 1 readonly
        0 = 1 a 1 0 D                               -> 2 1 readonly
        0 = 1 a 1 0 U? a b                          -> 2 1 readonly
        0 = 1 a                                     -> 0 2
        fence                                       -> 2 1 cmd
"""


class Talk:
    def __init__(self, port: int, secret: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._answers: BinaryIO = self._socket.makefile("rb")
        self._secret = secret

    def ask(self, request: str) -> str:
        tokens = [self._token(word) for word in request.split(" ") if word]
        self._socket.sendall(b"\t".join(tokens) + b"\n")
        answer = self._answers.readline().decode()
        assert answer.endswith("\n")
        return " ".join("NULL" if token == "\0" else token or "''" for token in answer[:-1].split("\t"))

    def _token(self, word: str) -> bytes:
        names = {"''": "", "NULL": "\0", "SECRET": self._secret}
        return names.get(word, word).replace("~", " ").encode()

    def hang_up(self) -> bytes:
        """Send the byte that ends a connection; what still comes."""
        self._socket.sendall(b"/")
        return self._answers.read()

    def close(self) -> None:
        self._answers.close()
        self._socket.close()


@pytest.fixture
def writing(server: MariaDBServer) -> Iterator[Talk]:
    talk = Talk(server.hs_port_wr, server.hs_secret_wr)
    yield talk
    talk.close()


@pytest.fixture
def reading(server: MariaDBServer) -> Iterator[Talk]:
    talk = Talk(server.hs_port, server.hs_secret)
    yield talk
    talk.close()


def replay(talk: Talk, exchanges: str) -> tuple[list[str], list[str]]:
    """The exchanges as they are written down, and as they are."""
    written = [line.strip() for line in exchanges.strip("\n ").split("\n")]
    pairs = [[part.strip(" ") for part in line.split("->")] for line in written]
    answered = [f"{request} -> {talk.ask(request)}" for request, _ in pairs]
    return [f"{request} -> {answer}" for request, answer in pairs], answered


@pytest.mark.parametrize("about", EXCHANGES)
def test_the_port_for_writing(writing: Talk, about: str) -> None:
    written, answered = replay(writing, EXCHANGES[about])
    assert answered == written


def test_the_port_for_reading(reading: Talk) -> None:
    written, answered = replay(reading, READ_ONLY)
    assert answered == written


def test_a_slash_ends_the_connection(reading: Talk) -> None:
    assert reading.hang_up() == b""
