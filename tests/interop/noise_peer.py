#!/usr/bin/env python3
"""A Noise peer on TCP that shares no code with windlass: the PyPI package `noiseprotocol`.

Each message, of the handshake too, goes behind its length in two bytes, big-endian. The responder sends back what
comes until the stream ends; the initiator sends `--messages` messages of growing length and compares what returns.
How a peer cuts its stream into messages is its own affair: only the bytes are compared.

    noise_peer.py listen PROTOCOL --key HEX [...]             prints `listening on IP:PORT` first
    noise_peer.py connect PROTOCOL IP:PORT --key HEX [...]

Both print `peer HEX` and `hash HEX` after the handshake, and at the end what they counted.
"""

import argparse
import socket
import sys

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from noise.connection import Keypair, NoiseConnection

# The specification's bound on a message, and the authentication tag in it.
MESSAGE_BYTES_MAX = 65535
TAG_BYTES = 16
# Nothing here takes so long; a peer that never answers ends the process and with it the test.
PATIENCE_S = 60


def say(*words):
    print(*words, flush=True)


class Wire:
    """Messages behind two bytes of length."""

    def __init__(self, stream):
        self.stream = stream

    def put(self, message):
        self.stream.sendall(len(message).to_bytes(2, "big") + bytes(message))

    def exactly(self, count):
        got = bytearray()
        while len(got) < count:
            part = self.stream.recv(count - len(got))
            if not part:
                break
            got += part
        return bytes(got)

    def get(self):
        """The next message; None where the stream ends between two."""
        head = self.exactly(2)
        if not head:
            return None
        length = int.from_bytes(head, "big")
        message = self.exactly(length)
        if len(head) < 2 or len(message) < length:
            sys.exit("the stream ended inside a message")
        return message


class Peer:
    """A Noise session that renews a direction's key after every `rekey` messages in it, 0 for never."""

    def __init__(self, wire, arguments):
        self.wire = wire
        self.rekey = arguments.rekey
        self.sent = self.received = 0
        self.noise = NoiseConnection.from_name(arguments.protocol.encode())
        if arguments.role == "connect":
            self.noise.set_as_initiator()
        else:
            self.noise.set_as_responder()
        self.noise.set_keypair_from_private_bytes(Keypair.STATIC, bytes.fromhex(arguments.key))
        if arguments.peer:
            self.noise.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, bytes.fromhex(arguments.peer))
        if arguments.psk:
            self.noise.set_psks(bytes.fromhex(arguments.psk))
        self.noise.set_prologue(arguments.prologue.encode())

    def shake(self, initiator):
        # What the package has of the handshake is gone when it ends, the peer's key with it.
        self.noise.start_handshake()
        state = self.noise.noise_protocol.handshake_state
        mine = initiator
        while not self.noise.handshake_finished:
            if mine:
                self.wire.put(self.noise.write_message())
            else:
                message = self.wire.get()
                if message is None:
                    sys.exit("the peer left the handshake")
                self.noise.read_message(message)
            mine = not mine
        say("peer", state.rs.public_bytes.hex())
        say("hash", self.noise.get_handshake_hash().hex())

    def send(self, plain):
        self.wire.put(self.noise.encrypt(plain))
        self.sent += 1
        if self.rekey and self.sent % self.rekey == 0:
            self.noise.rekey_outbound_cipher()

    def receive(self):
        message = self.wire.get()
        if message is None:
            return None
        plain = self.noise.decrypt(message)
        self.received += 1
        if self.rekey and self.received % self.rekey == 0:
            self.noise.rekey_inbound_cipher()
        return bytes(plain)

    def counted(self):
        say(f"sent {self.sent} received {self.received}")


def listen(arguments):
    listener = socket.create_server(("127.0.0.1", 0))
    say("listening on %s:%d" % listener.getsockname())
    stream, _ = listener.accept()
    stream.settimeout(PATIENCE_S)
    peer = Peer(Wire(stream), arguments)
    peer.shake(False)
    while True:
        plain = peer.receive()
        if plain is None:
            break
        peer.send(plain)
    peer.counted()


def connect(arguments):
    host, port = arguments.address.rsplit(":", 1)
    stream = socket.create_connection((host, int(port)), PATIENCE_S)
    peer = Peer(Wire(stream), arguments)
    peer.shake(True)
    for number in range(arguments.messages):
        # From nothing but the tag to the most that fits, whatever the count.
        length = (MESSAGE_BYTES_MAX - TAG_BYTES) * number // max(arguments.messages - 1, 1)
        plain = bytes((number + place) % 251 for place in range(length))
        peer.send(plain)
        back = b""
        while len(back) < length:
            part = peer.receive()
            if part is None:
                sys.exit("the stream ended before all had come back")
            back += part
        if back != plain:
            sys.exit(f"message {number} came back altered")
    stream.shutdown(socket.SHUT_WR)
    if peer.receive() is not None:
        sys.exit("more came back than was sent")
    peer.counted()


def main():
    parser = argparse.ArgumentParser()
    roles = parser.add_subparsers(dest="role", required=True)
    for role in ("listen", "connect"):
        options = roles.add_parser(role)
        options.add_argument("protocol")
        if role == "connect":
            options.add_argument("address")
            options.add_argument("--messages", type=int, default=20)
        options.add_argument("--key", required=True)
        options.add_argument("--peer", default="")
        options.add_argument("--psk", default="")
        options.add_argument("--prologue", default="")
        options.add_argument("--rekey", type=int, default=0)
    arguments = parser.parse_args()
    say("public", X25519PrivateKey.from_private_bytes(bytes.fromhex(arguments.key)).public_key().public_bytes(
        Encoding.Raw, PublicFormat.Raw).hex())
    {"listen": listen, "connect": connect}[arguments.role](arguments)


main()
